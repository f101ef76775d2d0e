import { BicepError, type Token, tokensOf } from './tokens.ts'

/** What a file says, as a tree. */
export type Expression =
  | { is: 'value'; value: string | number | boolean | null }
  | { is: 'text'; parts: Expression[] }
  | { is: 'name'; name: string; line: number }
  | { is: 'list'; items: Expression[] }
  | { is: 'object'; entries: { key: Expression; value: Expression }[]; nested: Declaration[] }
  | { is: 'loop'; names: string[]; source: Expression; body: Expression }
  | { is: 'lambda'; names: string[]; body: Expression }
  | { is: 'member'; of: Expression; key: Expression; line: number }
  | { is: 'child'; of: Expression; name: string; line: number }
  | { is: 'call'; name: string; args: Expression[]; line: number }
  | { is: 'not'; of: Expression }
  | { is: 'both'; sign: string; left: Expression; right: Expression }
  | { is: 'choice'; when: Expression; yes: Expression; no: Expression }

type Decorator = { name: string; args: Expression[] }

export type Declaration = {
  kind: 'param' | 'var' | 'resource' | 'module' | 'output' | 'targetScope' | 'using'
  name: string
  /** Of a parameter or output its type; of a resource its type and version; of a module its file. */
  type: string
  isExisting: boolean
  condition?: Expression
  value?: Expression
  decorators: Decorator[]
  line: number
}

const strength: Record<string, number> = {
  ...{ '??': 1, '||': 2, '&&': 3, '==': 4, '!=': 4, '<': 5, '>': 5, '<=': 5, '>=': 5 },
  ...{ '+': 6, '-': 6, '*': 7, '/': 7, '%': 7 },
}

export function parse(source: string): Declaration[] {
  return parserOf(tokensOf(source)).file()
}

function parserOf(tokens: Token[]) {
  let at = 0
  const next = () => tokens[at] as Token
  const isSign = (value: string, ahead = 0) =>
    tokens[at + ahead]?.kind === 'sign' && tokens[at + ahead]?.value === value
  const isWord = (value: string) => next().kind === 'name' && next().value === value

  function fail(wanted: string): never {
    const { line, value, kind } = next()
    throw new BicepError(
      `line ${line}: ${wanted} is wanted, and there is ${kind === 'end' ? 'the end' : value}`,
    )
  }
  function take(kind: Token['kind'], value?: string): Token {
    const token = next()
    if (token.kind !== kind || (value !== undefined && token.value !== value)) fail(value ?? kind)
    at += 1
    return token
  }
  function takeIf(value: string): boolean {
    if (!isSign(value)) return false
    at += 1
    return true
  }

  function file(): Declaration[] {
    const declarations: Declaration[] = []
    while (next().kind !== 'end') declarations.push(declaration())
    return declarations
  }

  function declaration(): Declaration {
    const decorators: Decorator[] = []
    while (takeIf('@')) decorators.push({ name: take('name').value, args: args() })
    const { value: word, line } = take('name')
    const declared = { line, decorators, name: '', type: '', isExisting: false }
    switch (word) {
      case 'targetScope':
        take('sign', '=')
        return { ...declared, kind: word, value: expression() }
      case 'using':
        return { ...declared, kind: word, type: take('text').value }
      case 'param':
      case 'var':
      case 'output': {
        const name = take('name').value
        let type = ''
        while (!isSign('=') && !next().isFirst) {
          type += next().value
          at += 1
        }
        return { ...declared, kind: word, name, type, value: takeIf('=') ? expression() : undefined }
      }
      case 'resource':
      case 'module': {
        const name = take('name').value
        const type = take('text').value
        const isExisting = isWord('existing')
        if (isExisting) at += 1
        take('sign', '=')
        let condition: Expression | undefined
        if (isWord('if')) {
          at += 1
          take('sign', '(')
          condition = expression()
          take('sign', ')')
        }
        return { ...declared, kind: word, name, type, isExisting, condition, value: expression() }
      }
      default:
        at -= 1
        return fail('a declaration')
    }
  }

  function args(): Expression[] {
    const all: Expression[] = []
    take('sign', '(')
    while (!isSign(')')) {
      all.push(expression())
      if (!isSign(')')) take('sign', ',')
    }
    take('sign', ')')
    return all
  }

  function expression(): Expression {
    const when = binary(0)
    if (!takeIf('?')) return when
    const yes = expression()
    take('sign', ':')
    return { is: 'choice', when, yes, no: expression() }
  }

  function binary(least: number): Expression {
    let left = unary()
    for (;;) {
      const { kind, value: sign } = next()
      const power = kind === 'sign' ? (strength[sign] ?? 0) : 0
      if (power <= least) return left
      at += 1
      left = { is: 'both', sign, left, right: binary(power) }
    }
  }

  function unary(): Expression {
    if (takeIf('!')) return { is: 'not', of: unary() }
    if (takeIf('-')) return { is: 'both', sign: '-', left: { is: 'value', value: 0 }, right: unary() }
    return postfix(primary())
  }

  function postfix(of: Expression): Expression {
    let all = of
    while (!next().isFirst) {
      const { line } = next()
      if (takeIf('.')) {
        all = { is: 'member', of: all, key: { is: 'value', value: take('name').value }, line }
      } else if (takeIf('::')) {
        all = { is: 'child', of: all, name: take('name').value, line }
      } else if (takeIf('[')) {
        all = { is: 'member', of: all, key: expression(), line }
        take('sign', ']')
        // "It is there", for the compiler's eyes.
      } else if (!takeIf('!')) {
        break
      }
    }
    return all
  }

  /** The names before `=>` where a lambda begins here. */
  function lambdaNames(): string[] | undefined {
    if (next().kind === 'name' && isSign('=>', 1)) {
      const { value } = take('name')
      at += 1
      return [value]
    }
    const close = tokens.findIndex((token, i) => i > at && token.kind === 'sign' && token.value === ')')
    if (!isSign('(') || tokens[close + 1]?.value !== '=>') return undefined
    const names = tokens.slice(at + 1, close).filter(({ kind }) => kind === 'name')
    at = close + 2
    return names.map(({ value }) => value)
  }

  function primary(): Expression {
    const names = lambdaNames()
    if (names !== undefined) return { is: 'lambda', names, body: expression() }
    const token = next()
    at += 1
    if (token.kind === 'number') return { is: 'value', value: Number(token.value) }
    if (token.kind === 'text') return textOf(token)
    if (token.kind === 'name') {
      const words: Record<string, boolean | null> = { true: true, false: false, null: null }
      if (token.value in words) return { is: 'value', value: words[token.value] ?? null }
      if (isSign('(') && !next().isFirst)
        return { is: 'call', name: token.value, args: args(), line: token.line }
      return { is: 'name', name: token.value, line: token.line }
    }
    if (token.value === '(' && token.kind === 'sign') {
      const inside = expression()
      take('sign', ')')
      return inside
    }
    if (token.value === '[' && token.kind === 'sign') return listOrLoop()
    if (token.value === '{' && token.kind === 'sign') return object()
    at -= 1
    return fail('a value')
  }

  function textOf(token: Token): Expression {
    if (token.pieces.length === 1) return { is: 'value', value: token.value }
    const parts = token.pieces.map((piece): Expression =>
      typeof piece === 'string' ? { is: 'value', value: piece } : parserOf(piece).whole(),
    )
    return { is: 'text', parts }
  }

  function whole(): Expression {
    const all = expression()
    take('end')
    return all
  }

  function listOrLoop(): Expression {
    if (isWord('for')) {
      at += 1
      const names: string[] = []
      if (takeIf('(')) {
        names.push(take('name').value)
        take('sign', ',')
        names.push(take('name').value)
        take('sign', ')')
      } else {
        names.push(take('name').value)
      }
      take('name', 'in')
      const source = expression()
      take('sign', ':')
      const body = expression()
      take('sign', ']')
      return { is: 'loop', names, source, body }
    }
    const items: Expression[] = []
    while (!takeIf(']')) {
      items.push(expression())
      takeIf(',')
    }
    return { is: 'list', items }
  }

  function object(): Expression {
    const entries: { key: Expression; value: Expression }[] = []
    const nested: Declaration[] = []
    while (!takeIf('}')) {
      const isEntry = isSign(':', 1)
      if (isSign('@') || (!isEntry && isWord('resource'))) {
        nested.push(declaration())
        continue
      }
      const token = next()
      if (token.kind !== 'name' && token.kind !== 'text') fail('a key')
      at += 1
      const key: Expression = token.kind === 'text' ? textOf(token) : { is: 'value', value: token.value }
      take('sign', ':')
      entries.push({ key, value: expression() })
      takeIf(',')
    }
    return { is: 'object', entries, nested }
  }

  return { file, whole }
}

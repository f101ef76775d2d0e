/**
 * The words of a Bicep file. There is no compiler of Bicep to be had from a package registry, so the tests read what deploy/
 * uses of the language, and refuse what they don't know.
 */
export type Token = {
  kind: 'name' | 'number' | 'text' | 'sign' | 'end'
  /** Of a text: its pieces, source code in between. */
  pieces: (string | Token[])[]
  value: string
  line: number
  /** Whether it is the first of its line: what follows on a new line does not belong to the expression before. */
  isFirst: boolean
}

const signs = [...['::', '=>', '==', '!=', '>=', '<=', '&&', '||', '??'], ...'{}[]()=:,.?!<>+-*/%@'.split('')]

const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', "'": "'", '\\': '\\', $: '$' }

export class BicepError extends Error {}

/** Reads all of a file; throws `BicepError` with the line. */
export function tokensOf(source: string, firstLine = 1): Token[] {
  const tokens: Token[] = []
  let at = 0
  let line = firstLine
  let isFirst = true

  const fail = (what: string): never => {
    throw new BicepError(`line ${line}: ${what}`)
  }

  function text(): Token['pieces'] {
    const pieces: Token['pieces'] = []
    let piece = ''
    for (at += 1; source[at] !== "'"; at += 1) {
      const char = source[at]
      if (char === undefined || char === '\n') fail('a text does not end')
      if (char === '\\') {
        at += 1
        piece += escapes[source[at] ?? ''] ?? fail(`\\${source[at]} is no escape`)
      } else if (char === '$' && source[at + 1] === '{') {
        const begin = at + 2
        for (let depth = 1; depth > 0;) {
          at += 1
          if (at >= source.length) fail('a text does not end')
          if (source[at] === '{' && at >= begin) depth += 1
          if (source[at] === '}') depth -= 1
        }
        pieces.push(piece, tokensOf(source.slice(begin, at), line))
        piece = ''
      } else {
        piece += char
      }
    }
    at += 1
    return [...pieces, piece]
  }

  function add(kind: Token['kind'], value: string, pieces: Token['pieces'] = []) {
    tokens.push({ kind, value, pieces, line, isFirst })
    isFirst = false
  }

  while (at < source.length) {
    const rest = source.slice(at)
    const [space] = /^[ \t]+/.exec(rest) ?? []
    const [comment] = /^\/\/[^\n]*/.exec(rest) ?? []
    const [name] = /^[A-Za-z_]\w*/.exec(rest) ?? []
    const [number] = /^\d+/.exec(rest) ?? []
    const sign = signs.find((each) => rest.startsWith(each))
    if (rest.startsWith('\n')) {
      line += 1
      isFirst = true
      at += 1
    } else if (space !== undefined || comment !== undefined) {
      at += (space ?? comment ?? '').length
    } else if (rest.startsWith("'")) {
      const pieces = text()
      const [first] = pieces
      add('text', typeof first === 'string' && pieces.length === 1 ? first : '', pieces)
    } else if (name !== undefined || number !== undefined) {
      const value = name ?? number ?? ''
      add(name === undefined ? 'number' : 'name', value)
      at += value.length
    } else if (sign === undefined) {
      fail(`${source[at]} is not known`)
    } else {
      add('sign', sign)
      at += sign.length
    }
  }
  isFirst = true
  add('end', '')
  return tokens
}

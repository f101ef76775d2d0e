import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Declaration, type Expression, parse } from './syntax.ts'

/** What is wrong with a file though it works: what nobody uses or explains, and what the compiler does not take. */
export function complaintsAbout(file: string): string[] {
  const source = readFileSync(file, 'utf8')
  const declarations = parse(source)
  const used = new Set<string>()
  const outputs = new Map<string, Set<string>>()
  const complaints: string[] = []
  const say = (line: number, what: string) => complaints.push(`${file}:${line}: ${what}`)

  for (const declared of every(declarations)) {
    const { kind, line, name, type, value, condition } = declared
    const mayLoop = kind === 'resource' || kind === 'module'
    for (const of of [value, condition, ...declared.decorators.flatMap(({ args }) => args)])
      if (of !== undefined) walk(of, { loop: true, inside: mayLoop })
    const isDescribed = declared.decorators.some(
      ({ name: is, args: [words] }) =>
        is === 'description' && words?.is === 'value' && /^.{8,}\.$/s.test(String(words.value)),
    )
    if ((kind === 'param' || kind === 'output') && !isDescribed)
      say(line, `${name} is not described in a sentence`)
    if (kind === 'resource' && type.includes('@') && !/@20\d\d-\d\d-\d\d(-preview)?$/.test(type))
      say(line, `${type} has no dated version`)
    if (
      /password|secret|token|connectionstring|(account|access|shared)key/i.test(name) &&
      !isSecret(declared)
    )
      say(line, `${name} looks like a secret, and is not marked as one`)

    function walk(of: Expression, at: { loop: boolean; inside: boolean }): void {
      if (of.is === 'name') used.add(of.name)
      if (of.is === 'loop' && !at.loop) say(line, 'a loop may not stand here')
      if (of.is === 'member') noteOutput(of)
      for (const [key, part] of partsOf(of)) {
        const inBody = at.inside && (of.is === 'object' || of.is === 'loop')
        walk(part, { loop: inBody && key === 'value', inside: inBody })
      }
    }
  }

  /** `module.outputs.name`, also of one of many. */
  function noteOutput({ of, key }: Extract<Expression, { is: 'member' }>) {
    if (of.is !== 'member' || of.key.is !== 'value' || of.key.value !== 'outputs' || key.is !== 'value')
      return
    if (of.of.is === 'name')
      outputs.set(of.of.name, (outputs.get(of.of.name) ?? new Set()).add(String(key.value)))
  }

  for (const { kind, name, line, type, isExisting } of declarations) {
    if ((kind === 'param' || kind === 'var' || isExisting) && !used.has(name))
      say(line, `${name} is not used`)
    if (kind !== 'module') continue
    const inner = parse(readFileSync(join(dirname(file), type), 'utf8'))
    const uses = declarations.filter((each) => each.kind === 'module' && each.type === type)
    for (const output of inner.filter((each) => each.kind === 'output'))
      if (!uses.some((each) => outputs.get(each.name)?.has(output.name)))
        say(line, `nobody uses ${name}.outputs.${output.name}`)
  }
  return [...complaints, ...layoutComplaints(file, source)]
}

/** Nested resources stand for themselves. */
function every(declarations: Declaration[]): Declaration[] {
  return declarations.flatMap((declared) => {
    const body = declared.value?.is === 'loop' ? declared.value.body : declared.value
    return [declared, ...(body?.is === 'object' ? every(body.nested) : [])]
  })
}

const isSecret = ({ decorators }: Declaration) => decorators.some(({ name }) => name === 'secure')

function partsOf(of: Expression): [string, Expression][] {
  switch (of.is) {
    case 'text':
      return of.parts.map((part) => ['part', part])
    case 'list':
      return of.items.map((item) => ['item', item])
    case 'object':
      return of.entries.flatMap(({ key, value }): [string, Expression][] => [
        ['key', key],
        ['value', value],
      ])
    case 'loop':
      return [
        ['source', of.source],
        ['body', of.body],
      ]
    case 'lambda':
      return [['body', of.body]]
    case 'member':
      return [
        ['of', of.of],
        ['key', of.key],
      ]
    case 'child':
    case 'not':
      return [['of', of.of]]
    case 'call':
      return of.args.map((arg) => ['arg', arg])
    case 'choice':
      return [
        ['when', of.when],
        ['yes', of.yes],
        ['no', of.no],
      ]
    case 'both':
      return [
        ['left', of.left],
        ['right', of.right],
      ]
    default:
      return []
  }
}

/** Two spaces for each bracket that is open, nothing at a line's end, one line break at the file's. */
function layoutComplaints(file: string, source: string): string[] {
  const complaints: string[] = []
  if (!source.endsWith('\n') || source.endsWith('\n\n'))
    complaints.push(`${file}: ends with other than one line break`)
  const open: number[] = []
  source.split('\n').forEach((text, i) => {
    const where = `${file}:${i + 1}`
    if (/[ \t]$|\t/.test(text)) complaints.push(`${where}: spaces at the end, or a tab`)
    const code = text.replaceAll(/'(?:\\.|[^'\\])*'/g, "''").replace(/\/\/.*$/, '')
    const indent = /^ */.exec(text)?.[0].length ?? 0
    const closing = /^\s*[\]})]+/.exec(code)?.[0].trim().length ?? 0
    let wanted = (open.at(-1) ?? -2) + 2
    for (let n = 0; n < closing; n++) wanted = open.pop() ?? 0
    // A choice over several lines.
    const isMore = /^\s*[?:]/.test(code)
    if (text !== '' && !isMore && indent !== wanted)
      complaints.push(`${where}: is indented by ${indent}, not by ${wanted}`)
    for (const char of code.slice(/^\s*[\]})]*/.exec(code)?.[0].length ?? 0)) {
      if ('[{('.includes(char)) open.push(isMore ? indent + 2 : indent)
      if (')}]'.includes(char)) open.pop()
    }
  })
  return complaints
}

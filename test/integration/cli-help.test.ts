import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { describeCli } from '../../scripts/describe-cli.ts'
import { createProgram } from '../../src/cli/program/program.ts'
import { cliMain, runCli } from '../support/cli.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()

/** What a shell without settings of anybody offers at the end of these words. */
function offered(...words: string[]): string[] {
  const script = join(dir, 'completion.bash')
  writeFileSync(script, execFileSync(process.execPath, [cliMain, 'completion', 'bash']))
  const ask =
    'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _framefleet; printf "%s\\n" "${COMPREPLY[@]}"'
  const said = execFileSync('bash', ['--norc', '-uc', ask, 'bash', script, 'framefleet', ...words])
  return said.toString().split('\n').filter(Boolean)
}

test.each([
  [['qua'], ['quarantine']],
  [
    ['fleet', ''],
    ['show', 'set'],
  ],
  [
    ['submit', '--co'],
    ['--container', '--codec'],
  ],
  [
    ['submit', 'film.mp4', '--codec', 'h'],
    ['h264', 'hevc'],
  ],
  [['submit', '--codec', '=', 'a'], ['av1']],
  [['submit', '--model', 'fleet', 'show', '--pri'], ['--priority']],
  [
    ['models', 'add', 'x.onnx', '--fit', ''],
    ['stretch', 'letterbox', 'tile'],
  ],
  // Files, which the shell knows better.
  [['submit', ''], []],
  [['submit', '--style', ''], []],
  [
    ['completion', ''],
    ['bash', 'zsh', 'fish'],
  ],
])('bash offers after %j', (words, wanted) => {
  expect(offered(...words)).toEqual(wanted)
})

test('a Tab runs nothing of what is typed', () => {
  mkdirSync(join(dir, 'here'))
  const file = join(dir, 'here/ran')
  offered('submit', `$(touch ${file})`, '--')
  expect(spawnSync('ls', [join(dir, 'here')]).stdout.toString()).toBe('')
})

const leaves = (command: Command): Command[] =>
  command.commands.length > 0 ? command.commands.flatMap(leaves) : [command]
const context = { env: {}, signal: new AbortController().signal, end: async () => await Promise.resolve() }
const commands = leaves(createProgram(context))

test.each(commands.map((command) => [command.name(), command] as const))(
  'the help of %s describes it, its options, and shows a call that its own parser takes',
  (_, command) => {
    let help = ''
    command.configureOutput({ writeOut: (text) => (help += text) })
    command.outputHelp()
    expect(command.description()).not.toBe('')
    expect(command.options.filter(({ description }) => !description)).toEqual([])
    const calls = [...help.matchAll(/^ {2}\$ framefleet (.*?)(?: {3}.*| [|>] .*)?$/gm)].map(
      ([, call = '']) => call,
    )
    expect(calls.length).toBeGreaterThan(0)
    expect(calls.filter((call) => !parses(call))).toEqual([])
  },
)

/** Whether the parser takes it, were it run: no action is. */
function parses(call: string): boolean {
  const program = createProgram(context)
  for (const command of leaves(program)) command.action(() => {})
  program.configureOutput({ writeErr: () => {} })
  for (const each of [program, ...program.commands, ...leaves(program)])
    each.exitOverride().configureOutput({ writeErr: () => {} })
  program.parse(call.trim().split(/\s+/), { from: 'user' })
  return true
}

test('docs/cli.md says what the commands declare', () => {
  const written = spawnSync('node_modules/.bin/oxfmt', ['--stdin-filepath=docs/cli.md'], {
    input: describeCli(),
    encoding: 'utf8',
  })
  // Mended by `npm run docs:cli`.
  expect(readFileSync('docs/cli.md', 'utf8')).toBe(written.stdout)
})

test('help comes without what the commands need: a start of a tenth of a second, not one of a second', () => {
  const watching = `
    import { registerHooks } from 'node:module'
    const seen = new Set()
    registerHooks({ resolve: (name, from, next) => (seen.add(name), next(name, from)) })
    process.argv = [process.execPath, 'framefleet', '--help']
    process.on('exit', () => console.error(JSON.stringify([...seen])))
    await import(${JSON.stringify(cliMain)})`
  const ran = spawnSync(process.execPath, ['--input-type=module', '-e', watching], { encoding: 'utf8' })
  const loaded = (JSON.parse(ran.stderr) as string[]).filter((name) => /^[@a-z]/.test(name))
  expect(loaded.filter((name) => !name.startsWith('node:'))).toEqual(['commander'])
})

test('a name that a terminal would take for a command is shown', async () => {
  const name = 'rules\u001b]0;owned\u0007\u009b2J.json'
  const shown = String.raw`There is no file rules\u001b]0;owned\u0007\u009b2J.json.`
  expect(await runCli(['triggers', 'set', name])).toMatchObject({ code: 1, stderr: `framefleet: ${shown}\n` })
  const { stdout } = await runCli(['triggers', 'set', name, '--json'])
  expect(stdout).not.toMatch(/(?!\n)\p{Cc}/u)
  expect(JSON.parse(stdout)).toMatchObject({
    error: { code: 'no-file', message: `There is no file ${name}.` },
  })
})

test.each([
  [['submit'], /^name a file or a URL/],
  [
    ['submit', '--job', 'job.json', '--model', 'a'],
    /^option '--job <file>' cannot be used with option '--model <name>'/,
  ],
  [['watch'], "missing required argument 'id'"],
  [['jobs', '--state', 'odd'], /^option '--state <state>' argument 'odd' is invalid/],
  [['nonsense'], "unknown command 'nonsense'"],
  [['fleet', 'set'], /^say what to set/],
  [['resume'], /^say which job to resume/],
])('for programs %j is refused as JSON, too', async (args, message) => {
  const { code, stdout } = await runCli([...args, '--json'])
  const { error } = JSON.parse(stdout) as { error: { code: string; message: string } }
  expect({ code, error }).toEqual({
    code: 2,
    error: { code: 'usage', message: expect.stringMatching(message) },
  })
})

test('a folder is no video, and its version is that of the package', async () => {
  const env = { FRAMEFLEET_API_URL: 'http://127.0.0.1:9', FRAMEFLEET_API_TOKEN: 'x' }
  expect(await runCli(['submit', dir], env)).toMatchObject({
    code: 1,
    stderr: `framefleet: ${dir} is a folder: name a file in it.\n`,
  })
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  expect(await runCli(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` })
})

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../../src/cli/services.ts'
import { builtinModels } from '../../src/shared/models/builtin.ts'
import { run } from '../support/cli.ts'
import { makeClip } from '../support/clips.ts'
import { classifier, echo, quotient } from '../support/table-models.ts'
import { tempDir } from '../support/temp-dir.ts'

/**
 * Every command that README, and the pages that it was too short for, show in a block of `sh` is typed here, in a folder that looks like a checkout, block by block;
 * but for these, which somebody else runs, or nobody can here.
 */
const elsewhere: [command: RegExp, why: string][] = [
  [/^npm run demo/, 'test/e2e/demo.test.ts'],
  [/^npm test/, 'is what runs this'],
  [/^npm run (?:check|chaos|bench)/, 'minutes of work; the first is the other half of the gate'],
  [/^npx framefleet up --autoscale/, 'test/e2e/autoscale.test.ts'],
  [/^npx framefleet quarantine \w+ ID/, 'test/e2e/poison.test.ts: it takes work that failed'],
  [/^npx framefleet resume ID/, 'test/e2e/resume.test.ts: it takes a job that failed'],
  [/^npx framefleet models add (?:udnie|microast)\.onnx/, 'test/integration/model-file.test.ts'],
  [/^(?:docker|az|azd|git clone) /, 'there is no Docker here, nor a subscription; test/unit/deploy*.test.ts'],
  [/^\S*\.framefleet|^export /, 'settings of the reader'],
]

const root = join(import.meta.dirname, '../..')
const dir = tempDir()
const pages = [
  'README.md',
  ...['api', 'fleet', 'models', 'quarantine', 'reliability'].map((page) => `docs/${page}.md`),
]
const blocks = pages.flatMap((page) =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^```sh\n(.*?)^```/gms)].map(
    ([, block = ''], i) => [`${page}, block ${i + 1}`, commandsOf(block)] as const,
  ),
)
const isElsewhere = (command: string) => elsewhere.some(([pattern]) => pattern.test(command))
let port: number
let up: ReturnType<typeof spawn>
/** Whose id a reader would have. */
let job: { id: string; source: string }

/** One command each, over as many lines as its quotes span, without remarks. */
function commandsOf(block: string): string[] {
  const commands: string[] = []
  let open = ''
  for (const line of block.split('\n')) {
    open = open === '' ? line.replace(/(?:^|\s+)#.*$/, '') : `${open}\n${line}`
    const quotes = open.replaceAll(/"[^"']*"/g, '').split("'").length - 1
    if (quotes % 2 === 1 || open.endsWith('\\')) continue
    if (open.trim() !== '') commands.push(open)
    open = ''
  }
  return commands
}

beforeAll(async () => {
  for (const name of ['package.json', 'bin', 'node_modules', 'src', 'models', 'scripts'])
    await symlink(join(root, name), join(dir, name))
  await makeClip({ path: join(dir, 'film.mp4'), frames: 24 })
  const look = builtinModels().find(({ manifest }) => manifest.name === 'passthrough')
  await writeFile(join(dir, 'my-look.onnx'), look?.bytes ?? '')
  const ofRows = { pump: quotient(), churn: classifier(), encoder: echo({ count: 'features' }) }
  for (const [name, bytes] of Object.entries(ofRows)) await writeFile(join(dir, `${name}.onnx`), bytes)
  port = await freePort()
  up = spawn('npx', ['framefleet', 'up', '--port', String(port)], {
    cwd: dir,
    stdio: ['ignore', 'ignore', 'pipe'],
    // A group of its own: npx does not hand signals on.
    detached: true,
  })
  let said = ''
  await new Promise<void>((resolve, reject) => {
    up.once('exit', () => reject(new Error(`it did not come up: ${said}`)))
    up.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      if (said.includes('Ctrl-C stops it')) resolve()
    })
  })
  const { stdout } = await sh('npx framefleet submit film.mp4 --model passthrough --wait --json')
  job = JSON.parse(stdout) as typeof job
})

afterAll(async () => {
  const leader = up?.pid
  // A signal to no group goes to ours.
  if (leader === undefined) return
  process.kill(-leader, 'SIGINT')
  // npx ends before what it has started.
  while (groupIsThere(leader)) await pause(50)
})

function groupIsThere(leader: number): boolean {
  try {
    return process.kill(-leader, 0)
  } catch {
    return false
  }
}

const sh = async (script: string) => await run('bash', ['-euo', 'pipefail', '-c', script], { cwd: dir })

test('what is run elsewhere is still shown', () => {
  const commands = blocks.flatMap(([, block]) => block)
  expect(commands.length).toBeGreaterThan(20)
  const shown = commands.filter((command) => !isElsewhere(command))
  expect(shown).toEqual(expect.arrayContaining([expect.stringMatching(/^npx framefleet submit .* --wait$/)]))
})

test.each(blocks.map(([name, block]) => [name, block.filter((command) => !isElsewhere(command))] as const))(
  '%s does what it says',
  async (_, commands) => {
    for (let at = 0; at < commands.length;) {
      // What sets a variable goes together with what uses it.
      const end = /^\w+=/.test(commands[at] ?? '') ? commands.length : at + 1
      const ran = await sh(
        commands
          .slice(at, end)
          .map((each) => filledIn(each))
          .join('\n'),
      )
      expect({ command: commands[at], ...ran }).toMatchObject({ code: 0 })
      at = end
    }
  },
)

/** With what a reader would put in: an id of theirs, a blob of theirs, and the port that is free here. */
function filledIn(command: string): string {
  // What is to be cancelled must not have ended.
  const id = command.includes('-X DELETE') ? '$(npx framefleet submit film.mp4)' : job.id
  return command
    .replaceAll(/\bID\b/g, id)
    .replaceAll(/https:\/\/\w+\.blob\.core\.windows\.net\S*?\.mp4/g, job.source)
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`)
    .replace(/^curl /, 'curl -sS --fail-with-body ')
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { freePort } from '../../src/cli/services.ts'
import { cliMain, runCli } from '../support/cli.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const started: ChildProcess[] = []

afterAll(() => {
  for (const child of started) child.kill('SIGKILL')
})

/** `framefleet up` in the folder, as a process of its own; resolves once it says that it is up. */
async function up(port: number): Promise<{ child: ChildProcess; said: () => string }> {
  const plain = Object.entries(process.env).filter(([name]) => !name.startsWith('FRAMEFLEET_'))
  const child = spawn(process.execPath, [cliMain, 'up', '--dir', dir, '--port', String(port)], {
    env: Object.fromEntries(plain),
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  started.push(child)
  let said = ''
  await new Promise<void>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk
      if (said.includes('Ctrl-C')) resolve()
    })
    child.once('exit', () => reject(new Error(said)))
  })
  return { child, said: () => said }
}

test('a folder is the data of one system at a time, and of the next once that was killed', async () => {
  const port = await freePort()
  const first = await up(port)
  // What it says to call, it can be called by.
  expect(first.said()).toContain(`npx framefleet token --dir ${dir}\n`)
  const redis = await readFile(join(dir, 'logs/redis.log'), 'utf8')
  const second = await runCli(['up', '--dir', dir, '--port', String(await freePort())])
  expect(second).toMatchObject({
    code: 1,
    stderr: `framefleet: In ${dir} framefleet already runs, at http://127.0.0.1:${port}.\n`,
  })
  // Nothing was started for it.
  expect(await readFile(join(dir, 'logs/redis.log'), 'utf8')).toBe(redis)
  expect((await runCli(['jobs', '--dir', dir])).code).toBe(0)

  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  const third = await up(await freePort())
  expect((await runCli(['jobs', '--dir', dir])).code).toBe(0)
  third.child.kill('SIGTERM')
  expect(await once(third.child, 'exit')).toEqual([0, null])
  expect(await runCli(['jobs', '--dir', dir])).toMatchObject({ code: 3 })
})

test('a port that another program has is named before anything is started', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const said = await runCli(['up', '--dir', join(dir, 'other'), '--port', String(port)])
  server.close()
  expect(said).toMatchObject({
    code: 1,
    stderr: `framefleet: Port ${port} is taken: name another by --port.\n`,
  })
})

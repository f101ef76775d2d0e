import { execFile } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
// Nobody in particular has to be able to look into it.
chmodSync(dir, 0o755)
const script = join(import.meta.dirname, '../../scripts/setup.mjs')

async function setup(PATH: string, { as = [], run = [] }: { as?: string[]; run?: string[] } = {}) {
  const [command = process.execPath, ...args] = [...as, process.execPath, script, ...run]
  return await new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(command, args, { env: { PATH } }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
}

/** A PATH with nothing on it but a package manager that writes down what it is asked. */
async function bareMachine(manager: string): Promise<{ path: string; asked: () => Promise<string> }> {
  const path = join(dir, manager)
  const log = join(dir, `${manager}.log`)
  await mkdir(path)
  await symlink('/bin/sh', join(path, 'sh'))
  await writeFile(join(path, manager), `#!/bin/sh\necho "${manager} $*" >> ${log}\n`)
  await chmod(join(path, manager), 0o755)
  return { path, asked: async () => await readFile(log, 'utf8') }
}

test('where all is there it says and does nothing', async () => {
  expect(await setup(process.env['PATH'] ?? '')).toEqual({ code: 0, stdout: '', stderr: '' })
})

test.runIf(process.getuid?.() === 0)(
  'where it may, it installs what is missing with the package manager there is',
  async () => {
    const machine = await bareMachine('apt-get')
    expect(await setup(machine.path)).toMatchObject({ code: 0, stdout: '' })
    expect(await machine.asked()).toBe(
      'apt-get update -q\napt-get install -y -q --no-install-recommends ffmpeg redis-server\n',
    )
  },
)

test.runIf(process.getuid?.() === 0)('what only the tests need comes with the tests only', async () => {
  const machine = await bareMachine('apk')
  // A program of this name, which ends at once, in place of the tests themselves.
  const tests = join(dir, 'vitest.mjs')
  await writeFile(tests, '')
  expect(await setup(machine.path, { run: ['run', tests] })).toMatchObject({ code: 0, stdout: '' })
  expect(await machine.asked()).toMatch(/^apk add --no-cache ffmpeg redis shellcheck\b/)
})

test.runIf(process.getuid?.() === 0)('where it may not, it gives the very command and stops', async () => {
  const machine = await bareMachine('dnf')
  const nobody = ['/usr/bin/setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
  const { code, stderr } = await setup(machine.path, { as: nobody })
  expect(code).toBe(1)
  expect(stderr).toContain('sudo dnf install -y -q ffmpeg redis')
})

test('where there is no package manager it says what is missing', async () => {
  const empty = join(dir, 'empty')
  await mkdir(empty)
  const { code, stderr } = await setup(empty)
  expect({ code, stderr }).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/please install ffmpeg, ffprobe, redis-server/),
  })
})

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { processesWith } from '../../scripts/chaos/processes.ts'
import type { Fleet } from '../../src/autoscaler/fleet.ts'
import { createLocalFleet } from '../../src/autoscaler/fleets/local.ts'
import { silent } from '../support/services.ts'
import { tempDir } from '../support/temp-dir.ts'

const quiet = new URL('../support/quiet-role.ts', import.meta.url)
const missing = new URL('../support/no-such-role.ts', import.meta.url)
const { signal } = new AbortController()
const opened: Fleet[] = []
afterEach(async () => {
  for (const fleet of opened.splice(0)) await fleet.close()
})

function open(dir: string, main = quiet): Fleet {
  const env = { PATH: process.env['PATH'], HERE: dir }
  const fleet = createLocalFleet({ dir, main, env, stopMs: 5_000, log: silent })
  opened.push(fleet)
  return fleet
}

const states = async (fleet: Fleet) => (await fleet.look(signal)).instances.map(({ state }) => state)
const notes = async (dir: string) => await readdir(join(dir, 'fleet'))
type Noted = { worker: { pid: number } | null }
const noteOf = async (dir: string, name: string) =>
  JSON.parse(await readFile(join(dir, 'fleet', `${name}.json`), 'utf8')) as Noted

/** Waits until all are processes; answers their names. */
async function running(dir: string, fleet: Fleet): Promise<[string, ...string[]]> {
  for (;;) {
    const names = (await fleet.look(signal)).instances.map(({ name }) => name)
    const all = await Promise.all(names.map(async (name) => (await noteOf(dir, name)).worker !== null))
    if (all.every(Boolean)) return names as [string, ...string[]]
    await pause(20)
  }
}

async function until(fleet: Fleet, wanted: string[]): Promise<void> {
  while ((await states(fleet)).join() !== wanted.join()) await pause(20)
}

test('two autoscalers see and stop the same workers, and both together start no more than asked for', async () => {
  const dir = tempDir()
  const [one, other] = [open(dir), open(dir)]
  await one.grow(2, signal)
  await other.grow(2, signal)
  expect(await other.look(signal)).toMatchObject({ capacity: 2 })
  const [first, second] = await running(dir, other)
  expect((await processesWith(dir)).length).toBe(2)
  await other.remove([first, 'never-was'], signal)
  await other.remove([first], signal)
  await until(one, ['running'])
  await one.remove([second ?? ''], signal)
  await until(other, [])
  expect(await notes(dir)).toEqual([])
  // A name is never given twice, a log file is.
  await one.grow(1, signal)
  const [third] = await running(dir, one)
  expect([first, second]).not.toContain(third)
  expect((await readdir(join(dir, 'logs'))).toSorted()).toEqual(['worker-1.ndjson', 'worker-2.ndjson'])
})

test('a worker that died is a failed instance until it is removed; one that can not start is too', async () => {
  const dir = tempDir()
  const fleet = open(dir)
  await fleet.grow(1, signal)
  const [name] = await running(dir, fleet)
  const { worker } = await noteOf(dir, name)
  if (worker) process.kill(worker.pid, 'SIGKILL')
  await until(fleet, ['failed'])
  expect(await fleet.look(signal)).toMatchObject({ capacity: 0 })
  await open(dir, missing).grow(1, signal)
  await until(fleet, ['failed', 'failed'])
  await fleet.remove(
    (await fleet.look(signal)).instances.map((each) => each.name),
    signal,
  )
  expect(await states(fleet)).toEqual([])
})

test('one that is told to leave before it is ready leaves, whoever told it', async () => {
  const dir = tempDir()
  const [one, other] = [open(dir), open(dir)]
  await one.grow(2, signal)
  const [first = '', second = ''] = (await other.look(signal)).instances.map(({ name }) => name)
  expect(await other.remove([first], signal)).toEqual([first])
  expect(await one.remove([first, second], signal)).toEqual([second])
  expect(await states(other)).toEqual(['leaving', 'leaving'])
  await until(other, [])
  expect({ notes: await notes(dir), processes: await processesWith(dir) }).toEqual({
    notes: [],
    processes: [],
  })
})

test('closing ends all of its own, also those that are still starting', async () => {
  const dir = tempDir()
  const fleet = open(dir)
  await fleet.grow(2, signal)
  await fleet.close()
  expect({ notes: await notes(dir), processes: await processesWith(dir) }).toEqual({
    notes: [],
    processes: [],
  })
})

test('a stranger that got the number of a worker that is gone is left alone', async () => {
  const dir = tempDir()
  const stranger = spawn('sleep', ['60'])
  try {
    await mkdir(join(dir, 'fleet'), { recursive: true })
    const gone = { pid: stranger.pid, mark: '1' }
    const note = { slot: 1, owner: gone, worker: gone, since: 1, failed: false }
    await writeFile(join(dir, 'fleet', 'local-1-old.json'), JSON.stringify(note))
    await writeFile(join(dir, 'fleet', 'torn.json'), '{')
    await writeFile(join(dir, 'fleet', 'local-1-older.leaving'), '')
    const fleet = open(dir)
    await fleet.remove(['local-1-old', 'torn'], signal)
    expect(await states(fleet)).toEqual([])
    expect({ notes: await notes(dir), ended: stranger.exitCode ?? stranger.signalCode }).toEqual({
      notes: [],
      ended: null,
    })
  } finally {
    stranger.kill('SIGKILL')
    await once(stranger, 'exit')
  }
})

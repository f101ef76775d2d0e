import { randomUUID } from 'node:crypto'
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Logger } from '../../shared/log.ts'
import { type Service, startRole } from '../../shared/role-process.ts'
import type { Fleet } from '../fleet.ts'
import { processMark } from './process-mark.ts'

type LocalOptions = {
  /** Holds the notes, under `fleet/`, and the workers' logs, under `logs/`. */
  dir: string
  /** What a worker runs. */
  main: URL
  env: NodeJS.ProcessEnv
  /** What a worker has to leave in before it is killed. */
  stopMs: number
  log: Logger
}

const Process = z.object({ pid: z.number().int().positive(), mark: z.string() })
const Note = z.object({
  /** Which of the logs is its own. */
  slot: z.number().int().positive(),
  /** The autoscaler that started it: when that goes, so does the worker. */
  owner: Process,
  /** Once it runs. */
  worker: Process.nullable(),
  since: z.number(),
  /** It could not be started. */
  failed: z.boolean(),
})
type Note = z.infer<typeof Note>

/**
 * Workers as processes of this machine, each an instance of its own. They are children of the autoscaler that started them,
 * and leave in peace when that goes. A note lies in a folder for each, so that all autoscalers of this machine see and stop
 * the same ones; processes are named by their number and when they began. Only who starts a worker writes its note: whoever
 * tells it to leave puts another file beside it, also before there is a process that could be told.
 *
 *   noted ──ready──► running ──told to leave──► leaving ──► gone, with its note
 *     └── ended by itself ──┴──► failed ──removed──► gone, with its note
 */
export function createLocalFleet({ dir, main, env, stopMs, log }: LocalOptions): Fleet {
  const notes = join(dir, 'fleet')
  const own = new Map<string, Service>()
  const underWay = new Set<Promise<void>>()
  const closing = new AbortController()
  const told = new Set<string>()
  const fileOf = (name: string) => join(notes, `${name}.json`)
  const leavingOf = (name: string) => join(notes, `${name}.leaving`)
  const owner = self()

  async function write(name: string, note: Note): Promise<void> {
    // Another autoscaler may be reading.
    const draft = `${fileOf(name)}.${process.pid}.new`
    await writeFile(draft, JSON.stringify(note))
    await rename(draft, fileOf(name))
  }

  async function forget(name: string): Promise<void> {
    // In this order: it is never seen as one that failed.
    await rm(fileOf(name), { force: true })
    await rm(leavingOf(name), { force: true })
    told.delete(name)
  }

  /** When it was told to leave, in ms. */
  const leavingSince = async (name: string) =>
    (await stat(leavingOf(name)).catch(() => undefined))?.mtimeMs ?? null

  async function read(name: string): Promise<Note | undefined> {
    const text = await readFile(fileOf(name), 'utf8').catch(() => 'null')
    try {
      return Note.safeParse(JSON.parse(text)).data
    } catch {
      return undefined
    }
  }

  /** The notes of all that is there, and whether it lives; those of what went in peace are removed. */
  async function list(): Promise<{ name: string; note: Note; lives: boolean; leaving: number | null }[]> {
    await mkdir(notes, { recursive: true })
    const files = await readdir(notes)
    const names = files.filter((file) => file.endsWith('.json'))
    const orphans = files.filter((file) => {
      return file.endsWith('.leaving') && !names.includes(file.replace(/leaving$/, 'json'))
    })
    await Promise.all(orphans.map(async (file) => await rm(join(notes, file), { force: true })))
    const found = await Promise.all(
      names.map(async (file) => {
        const name = file.slice(0, -'.json'.length)
        // Before the note: that goes first.
        const leaving = await leavingSince(name)
        const note = await read(name)
        const owned = note !== undefined && (await isAlive(note.owner))
        const lives = note !== undefined && !note.failed && (note.worker ? await isAlive(note.worker) : owned)
        if (note && (lives || (owned && leaving === null))) return [{ name, note, lives, leaving }]
        await forget(name)
        return []
      }),
    )
    return found.flat()
  }

  async function start(name: string, slot: number): Promise<void> {
    const note: Note = {
      ...{ slot, owner: await owner, worker: null, since: Date.now(), failed: false },
    }
    await write(name, note)
    const starting = begin(name, note)
      .catch(async (error: Error) => {
        if (closing.signal.aborted) return await forget(name)
        log.warn({ instance: name, err: error.message }, 'a worker could not be started')
        await write(name, { ...note, failed: true })
      })
      .finally(() => underWay.delete(starting))
    underWay.add(starting)
  }

  async function begin(name: string, note: Note): Promise<void> {
    const service = await startRole({
      name: `worker ${name}`,
      main,
      env: { ...env, FRAMEFLEET_INSTANCE: name, FRAMEFLEET_WORKER_PORT: '0' },
      logFile: join(dir, 'logs', `worker-${note.slot}.ndjson`),
      signal: closing.signal,
    })
    own.set(name, service)
    service.process.once('exit', (code, by) => {
      own.delete(name)
      log.info({ instance: name, code, by }, 'a worker of this machine ended')
    })
    const pid = service.process.pid ?? 0
    const mark = await processMark(pid)
    await write(name, { ...note, worker: { pid, mark: mark ?? '' } })
    // Who told it before saw no process, and left it to us.
    if ((await leavingSince(name)) !== null) end(name, service)
  }

  function end(name: string, service: Service): void {
    // A second signal would have it leave in haste.
    if (told.has(name)) return
    told.add(name)
    const stopping = service
      .stop(stopMs)
      .then(async () => await forget(name))
      .finally(() => underWay.delete(stopping))
    underWay.add(stopping)
  }

  /** Tells one to leave; it is gone from the notes once it has left. */
  async function stop(name: string): Promise<void> {
    await writeFile(leavingOf(name), '')
    const service = own.get(name)
    if (service) return end(name, service)
    // It may have got its process since it was listed.
    const worker = (await read(name))?.worker
    if (worker) terminate(worker.pid)
  }

  return {
    kind: 'local',
    async look() {
      const found = await list()
      return {
        capacity: found.filter(({ lives, leaving }) => lives && leaving === null).length,
        instances: found.map(({ name, note, lives, leaving }) => {
          if (leaving !== null) return { name, state: 'leaving', since: leaving }
          return { name, state: lives ? 'running' : 'failed', since: note.since }
        }),
      }
    },
    async grow(to) {
      const found = await list()
      await mkdir(join(dir, 'logs'), { recursive: true })
      const there = found.filter(({ lives, leaving }) => lives && leaving === null).length
      const taken = new Set(found.map(({ note }) => note.slot))
      for (let missing = to - there, slot = 1; missing > 0 && !closing.signal.aborted; slot++) {
        if (taken.has(slot)) continue
        // Never the name of one before it: what was said of that one must not be taken for this one.
        await start(`local-${slot}-${randomUUID().slice(0, 8)}`, slot)
        missing--
      }
      return to > there
    },
    async remove(names) {
      const found = await list()
      const asked: string[] = []
      for (const { name, lives, leaving } of found.filter((each) => names.includes(each.name))) {
        if (lives && leaving !== null) continue
        await (lives ? stop(name) : forget(name))
        asked.push(name)
      }
      return asked
    },
    async close() {
      closing.abort()
      await Promise.all(underWay)
      await Promise.all(
        [...own].map(async ([name, service]) => {
          await service.stop(stopMs)
          await forget(name)
        }),
      )
    },
  }
}

async function self(): Promise<z.infer<typeof Process>> {
  return { pid: process.pid, mark: (await processMark(process.pid)) ?? '' }
}

const isAlive = async ({ pid, mark }: z.infer<typeof Process>) => (await processMark(pid)) === mark

function terminate(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

import { mkdir, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type Fault, type Struck, atOnce } from './fault.ts'
import { type Victim, childrenOf, descendantsOf, findVictim, signal } from './processes.ts'
import type { Random } from './schedule.ts'
import type { World } from './world.ts'

/** The processes of a kind that run at the moment, with names for the record. */
type Finder = (world: World) => Promise<Victim[]>

const role =
  (name: string): Finder =>
  async ({ stack }) => {
    const found = stack.roles().filter((service) => service.name.startsWith(name))
    const victims = found.map(async ({ name, process }) => {
      const victim = process.pid === undefined ? undefined : await findVictim(process.pid)
      return victim ? [{ ...victim, name }] : []
    })
    return (await Promise.all(victims)).flat()
  }

const isMedia = ({ name }: Victim) => /^ff(?:mpeg|probe)$/.test(name)

const engine: Finder = async (world) => {
  const engines = (await role('worker')(world)).map(async ({ pid, name }) =>
    (await childrenOf(pid)).map((child) => ({ ...child, name: `engine of ${name}` })),
  )
  return (await Promise.all(engines)).flat()
}

const media: Finder = async (world) => {
  const found = (await role('')(world)).map(async ({ pid, name }) =>
    (await descendantsOf(pid))
      .filter(isMedia)
      .map((child) => ({ ...child, name: `${child.name} of ${name}` })),
  )
  return (await Promise.all(found)).flat()
}

const label = ({ name, pid }: Victim) => `${name} (${pid})`

function oneOf(victims: Victim[], random: Random): Victim | undefined {
  // In an order that doesn't hang on which of them started first.
  const sorted = victims.toSorted((a, b) => a.name.localeCompare(b.name))
  return sorted[random.int(0, Math.max(0, sorted.length - 1))]
}

const send = (find: Finder, name: NodeJS.Signals): Fault => ({
  place: 'process',
  lasts: atOnce,
  async strike(world, random) {
    const victim = oneOf(await find(world), random)
    if (!victim) return undefined
    await signal(victim, name)
    return { what: label(victim) }
  },
})

/** One at a time, while others may be killed: with every worker stopped there is nothing to be seen but waiting. */
const stop = (find: Finder, lasts: Fault['lasts']): Fault => ({
  place: 'stop',
  lasts,
  async strike(world, random): Promise<Struck | undefined> {
    const victim = oneOf(await find(world), random)
    if (!victim) return undefined
    await signal(victim, 'SIGSTOP')
    return { what: label(victim), lift: async () => await signal(victim, 'SIGCONT') }
  },
})

/** Faults of our own processes, and of those they start. */
export const processFaults = {
  'kill-worker': send(role('worker'), 'SIGKILL'),
  'kill-engine': send(engine, 'SIGKILL'),
  'kill-ffmpeg': send(media, 'SIGKILL'),
  'kill-producer': send(role('producer'), 'SIGKILL'),
  'kill-stitcher': send(role('stitcher'), 'SIGKILL'),
  'leave-worker': send(role('worker'), 'SIGTERM'),
  // Shorter and longer than a lease lasts: the longer ones come back to work that somebody else has by then.
  'stop-worker': stop(role('worker'), [2_000, 18_000]),
  'stop-engine': stop(engine, [2_000, 8_000]),
  // Some until somebody notices, and ends it.
  'stop-ffmpeg': stop(media, [2_000, 25_000]),
  'stop-producer': stop(role('producer'), [2_000, 18_000]),
  'stop-stitcher': stop(role('stitcher'), [2_000, 18_000]),
  /** What a process that was killed in the middle of its work leaves on the disk. */
  'dead-scratch': {
    place: 'work',
    lasts: atOnce,
    async strike({ stack }, random) {
      // A number that no process can have.
      const name = `${hostname().replaceAll('.', '-')}.${2 ** 22 + random.int(1, 1e6)}.1`
      const folder = join(stack.env['FRAMEFLEET_SCRATCH_DIR'] ?? '', name, 'batch-left')
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, 'segment.mp4'), Buffer.alloc(64 << 10))
      return { what: name }
    },
  },
} satisfies Record<string, Fault>

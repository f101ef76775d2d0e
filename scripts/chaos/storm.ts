import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { checkJobs, checkPoison } from './checks.ts'
import type { Ticket } from './customers.ts'
import { readDiary } from './diary.ts'
import { type FaultKind, faultKinds, faults } from './faults.ts'
import { takeReferences } from './frames.ts'
import type { Order } from './orders.ts'
import { findOrphans } from './orphans.ts'
import { type Outcome, byKind, recoveries } from './outcome.ts'
import { countRedone } from './redone.ts'
import { drawStorm } from './schedule.ts'
import { type Strike, strikeAll } from './strikes.ts'
import { type World, startWorld } from './world.ts'

export type StormOptions = {
  /** An empty folder for everything. */
  dir: string
  seed: number
  /** How long faults come. */
  ms: number
  /** From one fault to the next, in ms. */
  gapMs: readonly [number, number]
  kinds?: readonly FaultKind[]
  /** Which orders are asked for; all of them when absent. */
  wanted?: (order: Order) => boolean
  workers: number
  /** Jobs that are under way at any time. */
  customers: number
  /** How long after the storm jobs may take to end. */
  settleMs: number
  /** How long after that the janitor may take. */
  tidyMs: number
  env?: NodeJS.ProcessEnv
  say(line: string): void
  signal: AbortSignal
}

/**
 * Starts the system, takes the references, lets a storm loose on it while jobs come and go, and looks at what is left:
 *
 *   references ──► storm ──► the last jobs end ──► jobs, poison, leftovers looked at ──► stopped ──► processes looked at
 *
 * Answers the outcome, and each thing that went wrong as a sentence.
 */
export async function runStorm(options: StormOptions): Promise<{ outcome: Outcome; troubles: string[] }> {
  const { dir, seed, ms, say, signal } = options
  const kinds = options.kinds ?? faultKinds
  const storm = drawStorm<FaultKind>({
    ...{ seed, ms, gapMs: options.gapMs },
    kinds: Object.fromEntries(kinds.map((kind) => [kind, faults[kind].lasts])) as Record<
      FaultKind,
      readonly [number, number]
    >,
  })
  const customersLeave = new AbortController()
  const world = await startWorld({
    ...options,
    signal: AbortSignal.any([signal, customersLeave.signal]),
  })
  let running: World | undefined = world
  try {
    say('taking the references ...')
    const references = await takeReferences(world)
    const before = world.customers.tickets.length

    say(`${storm.length} faults of ${new Set(storm.map(({ kind }) => kind)).size} kinds are coming`)
    const { customers, orders } = world
    const asking = Promise.all(
      Array.from({ length: options.customers }, async (_, i) => await customers.keepAsking(orders.plain, i)),
    )
    const strikes = await strikeAll(world, storm, { say, signal })
    say('the storm is over; the last jobs end ...')
    await customers.leave(options.settleMs)
    customersLeave.abort()
    await asking
    const settledAt = Date.now()
    signal.throwIfAborted()

    const tickets = customers.tickets.slice(before)
    say(`looking at ${tickets.length} jobs ...`)
    const found = await checkJobs(world, tickets, references)
    const poison = await checkPoison(world, tickets)
    const left = await findOrphans(world, options.tidyMs)
    const diary = await readDiary(dir)
    const accepted = tickets.flatMap(({ id }) => (id === undefined ? [] : [id]))
    const { frames, redone } = await countRedone(world, accepted, diary)
    await keepRecord(world, strikes)
    running = undefined
    const processes = await world.stop()

    const orphans = [...left, ...processes.map((command) => `process ${command}`)]
    const seconds = recoveries(strikes, diary.done, settledAt)
    const outcome: Outcome = {
      ...{ seed, minutes: ms / 60_000 },
      faults: strikes.length,
      kinds: new Set(strikes.map(({ kind }) => kind)).size,
      jobs: accepted.length,
      lost: found.lost.length,
      hung: found.hung.length,
      wrong_ends: found.wrongEnds.length,
      differing_frames: found.differing.reduce((sum, each) => sum + each.frames, 0),
      redone_pct: Math.round((redone / Math.max(1, frames)) * 1_000) / 10,
      orphans: orphans.length,
      poison_injected: poison.injected,
      poison_quarantined: poison.injected - poison.missing.length,
      worst_recovery_s: Math.max(0, ...seconds),
      by_kind: byKind(strikes, seconds),
    }
    const ofJobs = [
      ...found.lost,
      ...found.hung,
      ...found.wrongEnds,
      ...found.differing.map(({ sentence }) => sentence),
      ...poison.missing,
    ]
    const troubles = [
      ...ofJobs.map((sentence) => `${sentence} (${struckMeanwhile(sentence, tickets, strikes)})`),
      ...orphans.map((orphan) => `left behind: ${orphan}`),
    ]
    return { outcome, troubles }
  } finally {
    customersLeave.abort()
    await running?.stop()
  }
}

/** The faults that struck while the job was under way which a sentence is about. */
function struckMeanwhile(sentence: string, tickets: Ticket[], strikes: Strike[]): string {
  const ticket = tickets.find(({ id }) => id !== undefined && sentence.includes(id))
  if (!ticket) return 'at some time'
  const { askedAt, endedAt = Infinity } = ticket
  const meanwhile = strikes.filter(({ at, liftedAt }) => liftedAt >= askedAt && at <= endedAt)
  return `meanwhile: ${meanwhile.map(({ kind, at }) => `${kind} after ${((at - askedAt) / 1_000).toFixed(1)} s`).join(', ') || 'nothing'}`
}

/** Beside the roles' logs, for whoever looks into them. */
async function keepRecord({ dir, ends }: World, strikes: Strike[]): Promise<void> {
  const lines = [...strikes, ...ends].map((each) => JSON.stringify({ time: new Date(each.at), ...each }))
  await appendFile(join(dir, 'logs', 'chaos.ndjson'), `${lines.join('\n')}\n`)
}

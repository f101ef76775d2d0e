import { setTimeout as pause } from 'node:timers/promises'
import { Report } from '../../src/shared/job.ts'
import { layout } from '../../src/shared/layout.ts'
import type { Ticket } from './customers.ts'
import { type References, countDifferences } from './frames.ts'
import type { World } from './world.ts'

/** What became of the jobs of a storm, each finding as one sentence. */
export type Findings = {
  lost: string[]
  hung: string[]
  wrongEnds: string[]
  differing: { frames: number; sentence: string }[]
}

/** Looks at every job of a storm, after its customers have waited for it as long as they were ready to. */
export async function checkJobs(world: World, tickets: Ticket[], references: References): Promise<Findings> {
  const found: Findings = { lost: [], hung: [], wrongEnds: [], differing: [] }
  for (const ticket of tickets) {
    const { id, order, status, refused } = ticket
    const called = `job ${id ?? '(not accepted)'} "${order.name}"`
    if (refused !== undefined) found.lost.push(`${called} was refused: ${refused}`)
    else if (id === undefined) found.hung.push(`${called} was never accepted`)
    else if (ticket.endedAt === undefined) {
      const known = (await world.media.head(layout.spec(id))) !== undefined
      found[known ? 'hung' : 'lost'].push(`${called} did not end; it was last seen ${status ?? 'nowhere'}`)
    } else {
      const report = await world.media.readJson(layout.report(id), Report)
      if (!report || report.status !== status) {
        found.lost.push(`${called} ${status} and has no such report`)
      } else if (!mayEnd(ticket, report.status)) {
        found.wrongEnds.push(`${called} ${status}: ${report.error?.message ?? 'without an error'}`)
      } else if (status === 'succeeded') {
        const reference = references.get(order)
        const frames = reference ? await countDifferences(world, id, reference) : report.frames
        if (frames > 0) found.differing.push({ frames, sentence: `${called}: ${frames} frames differ` })
      }
    }
  }
  return found
}

/** A job that somebody asked to cancel may have ended first, unless the cancellation was promised. */
function mayEnd({ order, cancel }: Ticket, status: string): boolean {
  if (cancel === 'promised') return status === 'cancelled'
  return status === order.ends || (cancel === 'asked' && status === 'cancelled')
}

/** The sweeper comes every few seconds. */
const quarantineWithinMs = 30_000

/** All poison of a storm, and what of it is not in quarantine with its reason. */
export async function checkPoison(
  { evidence }: Pick<World, 'evidence'>,
  tickets: Ticket[],
): Promise<{ injected: number; missing: string[] }> {
  const jobs = tickets.filter(({ id, order }) => id !== undefined && order.poison !== undefined)
  for (const deadline = Date.now() + quarantineWithinMs; ;) {
    await evidence.collect()
    const missing = [
      ...jobs.flatMap(({ id = '', order }) => {
        const named = evidence
          .recordsOf(id)
          .some(({ reason, frames }) => reason === 'poison' && frames.includes(order.poison ?? -1))
        return named ? [] : [`frame ${order.poison} of job ${id} "${order.name}" is not in quarantine`]
      }),
      ...evidence
        .garbage()
        .filter(({ record }) => record?.reason !== 'unreadable')
        .map(({ what, queue, entry }) => `${what} (${queue} ${entry}) is not in quarantine`),
    ]
    const injected = jobs.length + evidence.garbage().length
    if (missing.length === 0 || Date.now() > deadline) return { injected, missing }
    await pause(1_000)
  }
}

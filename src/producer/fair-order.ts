/**
 * Who goes next: start-time fair queueing over BullMQ's priorities, of which the lowest goes first.
 *
 * A batch's priority is its virtual start time, in seconds of work: a job begins at the time that is at the head of the
 * queue, and each of its batches starts as much later as the one before it costs, divided by the weight of the job. So
 * a job of twice the weight gets twice as much done, a short one that comes late begins at once, and one that came
 * before it goes on beside it.
 */

/** BullMQ takes priorities from 1; 0 would go before all of them. */
export const firstTag = 1
export const lastTag = 2 ** 21 - 1

/**
 * The virtual start times of a job's batches, in order; `costs` are seconds of work, `now` is the virtual time. A job that is
 * longer than there is room for is squeezed: it gets more than its share, rather than an end that nobody comes after.
 */
export function virtualStarts({
  now,
  costs,
  weight,
}: {
  now: number
  costs: number[]
  weight: number
}): number[] {
  const begin = Math.min(Math.max(firstTag, now), lastTag)
  const starts: number[] = []
  let after = 0
  for (const cost of costs) {
    starts.push(after)
    after += Math.max(0, cost) / weight
  }
  const scale = Math.min(1, (lastTag - begin) / Math.max(starts.at(-1) ?? 0, 1))
  return starts.map((start) => Math.round(begin + start * scale))
}

/**
 * The virtual time at which a newcomer begins. All workers have batches of others, and become free one by one: of what is
 * under way, the newcomer is owed its share, which is how much earlier than the next in line it begins.
 */
export function beginning({
  now,
  active,
  share,
}: {
  /** The virtual time: where the next in line begins. */
  now: number
  /** The virtual start times of the batches at work. */
  active: number[]
  /** The newcomer's part of all weights, 0 … 1. */
  share: number
}): number {
  // Claims come in order, so half of them began before the middle one; one that was tried again and again says little.
  const middle = active.toSorted((a, b) => a - b)[Math.floor(active.length / 2)] ?? now
  return Math.max(firstTag, now - 2 * Math.max(0, now - middle) * share)
}

/**
 * The virtual start times of the batches of a newcomer. The jobs of one client begin one after the other, as far apart as
 * its share allows, but none later than its own share of that: else the first batches of a thousand jobs would all go
 * before the second of anybody else, and a client that always has some clips in line would have the fleet for itself.
 */
export function newcomerStarts({
  now,
  active,
  siblings,
  costs,
  standing: { weight, ofClient, part },
}: {
  /** The virtual time. */
  now: number
  /** The virtual start times of the batches at work. */
  active: number[]
  /** Those of the first batches of the client's other jobs, as far as they wait or are at work. */
  siblings: number[]
  /** Seconds of work of each batch, in order; 0 of what is done. */
  costs: number[]
  standing: Standing
}): number[] {
  const earliest = beginning({ now, active, share: part })
  const first = costs.find((cost) => cost > 0) ?? 0
  const latest = siblings.reduce((most, tag) => Math.max(most, tag), -Infinity)
  // Times are whole: what takes less than one would never come later.
  const paced = Math.ceil(latest + first / ofClient)
  const begin = Math.max(earliest, Math.min(paced, earliest + first / weight))
  return virtualStarts({ now: begin, costs, weight })
}

/** What a job has that asks for no other. */
export const usualPriority = 5
const leastWeight = 1 / 10_000

export type OpenJob = {
  client: string
  /** 1 … 10 */
  priority: number
}

export type Standing = {
  /** Of the job itself. */
  weight: number
  /** Of all jobs of its client together. */
  ofClient: number
  /** Of all weights the job's part, 0 … 1. */
  part: number
}

/**
 * How each of these jobs stands beside the others. A client weighs as much as its most urgent job, however many it has,
 * and its jobs share that by their priorities. While others wait it has no more than its share of the fleet, `share` (0 … 1).
 */
export function weigh(jobs: OpenJob[], share: number): Standing[] {
  const clients = new Map<string, { most: number; sum: number }>()
  for (const { client, priority } of jobs) {
    const { most, sum } = clients.get(client) ?? { most: 0, sum: 0 }
    clients.set(client, { most: Math.max(most, priority), sum: sum + priority })
  }
  const all = [...clients.values()].reduce((sum, { most }) => sum + most, 0) / usualPriority
  return jobs.map(({ client, priority }) => {
    const { most = priority, sum = priority } = clients.get(client) ?? {}
    const full = most / usualPriority
    const others = all - full
    const isCapped = clients.size > 1 && share < 1
    const ofClient = isCapped ? Math.min(full, (others * share) / (1 - share)) : full
    const weight = Math.max(leastWeight, (ofClient * priority) / sum)
    return { weight, ofClient: Math.max(leastWeight, ofClient), part: weight / (others + ofClient) }
  })
}

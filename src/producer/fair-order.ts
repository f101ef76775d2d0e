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
 * Which part of a step a job comes later that has so many others of its client beside it, 0 … 1: else the first batches
 * of a thousand jobs would all go before the second of anybody else. By the golden ratio any number of them is spread evenly.
 */
export const stagger = (others: number): number => (others * ((Math.sqrt(5) - 1) / 2)) % 1

/** What a job has that asks for no other. */
export const usualPriority = 5
const leastWeight = 1 / 10_000

/**
 * The weight of a job beside others. A client weighs as much as its most urgent job, however many it has, and its jobs
 * share that by their priorities. While others wait it has no more than its share of the fleet, `share`.
 */
export function weightOf({
  priority,
  ownPriorities,
  othersWeight,
  share,
}: {
  /** 1 … 10 */
  priority: number
  /** Of the client's other jobs. */
  ownPriorities: number[]
  /** Of all other clients together. */
  othersWeight: number
  /** 0 … 1 */
  share: number
}): number {
  let most = priority
  let sum = priority
  for (const own of ownPriorities) {
    most = Math.max(most, own)
    sum += own
  }
  const all = most / usualPriority
  const allowed = othersWeight > 0 && share < 1 ? Math.min(all, (othersWeight * share) / (1 - share)) : all
  return Math.max(leastWeight, (allowed * priority) / sum)
}

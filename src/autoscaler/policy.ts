import type { FleetSettings } from '../shared/fleet.ts'

/**
 * How many instances we want, and which go. Pure; all times in seconds.
 *
 *   starting ──► idle ◄──► busy
 *                 │hold ▲recall
 *                 ▼     │
 *              draining ──► held ──remove──► leaving
 *
 * Only what says `held` of itself is removed, or what has failed. What is idle beyond need is held; what is busy is only
 * ever held because people lowered the size or the maximum, and even then it ends its batches first.
 */
export type InstanceState = 'starting' | 'idle' | 'busy' | 'draining' | 'held' | 'failed' | 'leaving'
export type Instance = { name: string; state: InstanceState; since: number }

export type Snapshot = {
  now: number
  demand: {
    /** What one worker would need for all batches that wait and are under way, as far as that is known. */
    workSeconds: number
    /** Batches that wait or are under way. */
    entries: number
    /** Jobs whose batches are not on the queue yet: what they need is not known. */
    unplannedJobs: number
  }
  /** `leaving`: being removed, or about to be taken away: it does not count. */
  instances: Instance[]
  /** What people want; a size set at the fleet itself is put into `size` already. */
  limits: FleetSettings
  workersPerInstance: number
  /** From asking for an instance until its worker takes work. */
  startSeconds: number
  /** All that is in line is to be done within this. */
  backlogSeconds: number
  /** Jobs a second, and the work of one. */
  arrivals: { perSecond: number; workSeconds: number }
  /** No growth before: a quota or a lack of capacity was met. */
  growthBlockedUntil: number
}

export type Decision = {
  /** How many are wanted. */
  target: number
  why: string
  /**
   * How many there are to be in all: those that `present` counts and the new ones, so that the difference is to be started.
   * Those that are removed because they are empty still count among the former.
   */
  grow: number
  hold: string[]
  recall: string[]
  remove: string[]
}

/** Growth waits until what is there would be late by more than this share: work that hovers starts nothing. */
const lateBy = 0.1
/** What is idle for less has only paused, such as between one job and the next. */
const restSeconds = 10
const slowestStartSeconds = 600

/** Those that are there to stay, unless they are held: not failed, not leaving. */
export const present = (snapshot: Snapshot): number => sort(snapshot).present

export function decide(snapshot: Snapshot): Decision {
  const { now, limits, growthBlockedUntil } = snapshot
  const { usable, resting, failed, present } = sort(snapshot)
  // Nobody goes until it is over: what waits to go would stand idle for as long.
  if (limits.paused) {
    const recall = resting.map(({ name }) => name)
    return { target: present, why: 'paused', grow: present, hold: [], recall, remove: [] }
  }

  const within = (wanted: number) => Math.min(limits.max, Math.max(limits.min, wanted))
  const { need, why } = limits.size === null ? demanded(snapshot) : byHand(limits.size)
  // Those that are still there cost nothing to start.
  const recalled = resting.slice(0, Math.max(0, within(need) - usable.length))
  const there = [...usable, ...recalled.map((each) => ({ ...each, state: 'idle' as const }))]
  const start = limits.size === null ? worthStarting(snapshot, there, need) : { wanted: need, why: '' }
  const target = within(start.wanted)
  const growth = Math.max(0, target - there.length)
  return {
    target,
    why: [why + start.why, limitedBy(start.wanted, target)].filter(Boolean).join('; '),
    grow: present + (now < growthBlockedUntil ? 0 : growth),
    hold: surplus(snapshot, usable, target),
    recall: recalled.map(({ name }) => name),
    remove: [...failed, ...resting.slice(recalled.length).filter(({ state }) => state === 'held')].map(
      ({ name }) => name,
    ),
  }
}

function limitedBy(wanted: number, target: number): string {
  if (target === wanted) return ''
  return target > wanted ? `at least ${target}` : `at most ${target}`
}

/**
 * How long something idle is kept for the next job: a new start is what it would cost, weighed by how likely a job comes
 * within that time.
 */
export function keepWarmSeconds(startSeconds: number, arrivals: Snapshot['arrivals']): number {
  const likely = 1 - Math.exp(-arrivals.perSecond * startSeconds)
  return Math.max(Math.min(startSeconds, restSeconds), startSeconds * likely)
}

function sort({ now, instances, startSeconds }: Snapshot) {
  const patience = Math.max(slowestStartSeconds, 3 * startSeconds)
  const failed = instances.filter(
    ({ state, since }) => state === 'failed' || (state === 'starting' && now - since > patience),
  )
  const usable = instances.filter(
    (each) => ['starting', 'idle', 'busy'].includes(each.state) && !failed.includes(each),
  )
  // Those that are still at work are the first to be called back: nothing of theirs is cold.
  const resting = [
    ...instances.filter(({ state }) => state === 'draining'),
    ...instances.filter(({ state }) => state === 'held'),
  ]
  return { failed, usable, resting, present: usable.length + resting.length }
}

const byHand = (size: number) => ({ need: size, why: 'the size was set by hand' })

function demanded({ demand, workersPerInstance, backlogSeconds }: Snapshot): { need: number; why: string } {
  const { workSeconds, entries, unplannedJobs } = demand
  if (workSeconds <= 0 && entries === 0 && unplannedJobs === 0) return { need: 0, why: 'nothing to do' }
  if (workSeconds <= 0 && entries === 0) return { need: 1, why: 'a job is being split' }
  const inTime = Math.ceil(workSeconds / backlogSeconds / workersPerInstance)
  // More than one for each batch would have nothing to do.
  const atWork = Math.ceil((entries + unplannedJobs) / workersPerInstance)
  const need = Math.max(1, Math.min(inTime, atWork))
  return { need, why: `${Math.round(workSeconds)} s of work in ${backlogSeconds} s` }
}

/** As many as are needed, of those that are not there as many as each would work for as long as it takes to start. */
function worthStarting(
  { now, demand, workersPerInstance, startSeconds, backlogSeconds }: Snapshot,
  there: Instance[],
  need: number,
): { wanted: number; why: string } {
  if (need <= there.length || there.length === 0) return { wanted: need, why: '' }
  const late = demand.workSeconds > there.length * workersPerInstance * backlogSeconds * (1 + lateBy)
  if (!late) return { wanted: there.length, why: ', nearly' }
  let left = demand.workSeconds
  for (const { state, since } of there) {
    const missing = state === 'starting' ? Math.max(0, startSeconds - (now - since)) : 0
    left -= workersPerInstance * (startSeconds - missing)
  }
  const worth = Math.min(need, Math.floor(left / workersPerInstance / Math.max(1, startSeconds)))
  if (worth > there.length) return { wanted: worth, why: '' }
  return { wanted: there.length, why: ': it is done before another would have started' }
}

/** What is there beyond the target and may be held: the longest idle first. */
function surplus(snapshot: Snapshot, usable: Instance[], target: number): string[] {
  const { now, limits, startSeconds, backlogSeconds, workersPerInstance, arrivals } = snapshot
  let over = usable.length - target
  if (over <= 0) return []
  const oldest = (state: InstanceState) =>
    usable.filter((each) => each.state === state).toSorted((a, b) => a.since - b.since)
  const idle = oldest('idle')
  // What people set is done at once: it is not for us to keep warm.
  const most = limits.size ?? limits.max
  // Those that are still starting end nobody's work: they may never come.
  const must = Math.max(0, usable.filter(({ state }) => state !== 'starting').length - most)
  if (limits.size !== null) over = must
  const warm = Math.max(1, Math.ceil(arrivals.workSeconds / backlogSeconds / workersPerInstance))
  const rest = Math.min(startSeconds, restSeconds)
  const held = idle.filter(({ since }, i) => {
    const kept = i < idle.length - warm ? rest : keepWarmSeconds(startSeconds, arrivals)
    return i < must || (i < over && now - since >= kept)
  })
  const busy = oldest('busy').slice(0, Math.max(0, must - idle.length))
  return [...held, ...busy].map(({ name }) => name)
}

import { expect, test } from 'vitest'
import { seeded, seeds } from '../../scripts/chaos/seeded.ts'
import {
  type Decision,
  type Instance,
  type InstanceState,
  type Snapshot,
  decide,
  keepWarmSeconds,
  present,
} from '../../src/autoscaler/policy.ts'

const now = 100_000
type Changes = Omit<Partial<Snapshot>, 'demand' | 'limits'> & {
  demand?: Partial<Snapshot['demand']>
  limits?: Partial<Snapshot['limits']>
}

/** Nothing to do and nothing there; a start takes 150 s, and the line is to be done within 600 s. */
const snapshot = ({ demand, limits, ...rest }: Changes = {}): Snapshot => ({
  ...{ now, instances: [], workersPerInstance: 1, startSeconds: 150, backlogSeconds: 600 },
  ...{ arrivals: { perSecond: 0, workSeconds: 0 }, growthBlockedUntil: 0 },
  ...rest,
  demand: { workSeconds: 0, entries: 0, unplannedJobs: 0, ...demand },
  limits: { min: 0, max: 100, size: null, paused: false, ...limits },
})
const work = (workSeconds: number, entries = 1_000) => ({ workSeconds, entries })
/** So many of each state, since so many seconds; called `busy-0`, `busy-1` and on. */
const some = (counts: Partial<Record<InstanceState, number>>, forSeconds = 1_000): Instance[] =>
  Object.entries(counts).flatMap(([state, count]) =>
    Array.from({ length: count }, (_, i) => ({
      ...{ name: `${state}-${i}`, state: state as InstanceState, since: now - forSeconds },
    })),
  )

test.each<[string, Changes, Partial<Decision>]>([
  ['nothing to do, nothing there', {}, { target: 0, grow: 0, why: 'nothing to do' }],
  ['an hour of work, ten minutes wanted', { demand: work(3_600) }, { target: 6, grow: 6 }],
  [
    'two workers on each instance need half as many',
    { demand: work(3_600), workersPerInstance: 2 },
    { target: 3 },
  ],
  ['no more than there are batches', { demand: work(3_600, 4) }, { target: 4, grow: 4 }],
  [
    'a job that is not split yet counts as one batch',
    { demand: { ...work(3_600, 2), unplannedJobs: 1 } },
    { grow: 3 },
  ],
  [
    'jobs of which none is split yet get one',
    { demand: { unplannedJobs: 9 } },
    { target: 1, grow: 1, why: 'a job is being split' },
  ],
  [
    'and what is idle meanwhile is not kept for them',
    { demand: { unplannedJobs: 1 }, instances: some({ idle: 3 }) },
    { hold: ['idle-0', 'idle-1'] },
  ],
  [
    'never more than the most',
    { demand: work(60_000), limits: { max: 10 } },
    { target: 10, why: '60000 s of work in 600 s; at most 10' },
  ],
  ['never fewer than the least', { limits: { min: 3 } }, { target: 3, grow: 3 }],
  ['a size that was set', { demand: work(60_000), limits: { size: 2 } }, { target: 2, grow: 2 }],
  [
    'paused: nothing goes or comes, and nobody waits to go',
    { demand: work(60_000), instances: some({ failed: 1, held: 1, idle: 1 }), limits: { paused: true } },
    { target: 2, grow: 2, hold: [], recall: ['held-0'], remove: [] },
  ],
  [
    'those that are on their way count',
    { demand: work(3_600), instances: some({ starting: 4, busy: 2 }, 10) },
    { target: 6, grow: 6 },
  ],
  [
    'what is being taken away does not count, and is replaced at once',
    { demand: work(3_600), instances: some({ busy: 4, leaving: 2 }) },
    { target: 6, grow: 6 },
  ],
  [
    'what was to go is called back before anything is started: who is at work first',
    { demand: work(3_600), instances: some({ busy: 2, draining: 1, held: 2 }) },
    { grow: 6, recall: ['draining-0', 'held-0', 'held-1'], remove: [] },
  ],
  [
    'more than is needed of those that were to go: the rest goes',
    { demand: work(1_200), instances: some({ busy: 1, held: 2 }) },
    { grow: 3, recall: ['held-0'], remove: ['held-1'] },
  ],
  [
    'who is called back costs no start: it need not be worth one',
    { demand: work(100), backlogSeconds: 20, instances: some({ busy: 1, held: 2 }) },
    { target: 3, grow: 3, recall: ['held-0', 'held-1'], remove: [] },
  ],
  [
    'a quota was met: nothing is started, but what is there is called back',
    { demand: work(3_600), instances: some({ busy: 2, held: 1 }), growthBlockedUntil: now + 60 },
    { target: 6, grow: 3, recall: ['held-0'] },
  ],
  [
    'work that hovers a little above what is there starts nothing',
    { demand: work(3_900), instances: some({ busy: 6 }) },
    { target: 6, grow: 6 },
  ],
  [
    'what is busy stays, however little there is left',
    { demand: work(30, 5), instances: some({ busy: 5 }) },
    { target: 1, grow: 5, hold: [], remove: [] },
  ],
  ['nothing to do for long: held', { instances: some({ idle: 2 }) }, { hold: ['idle-0', 'idle-1'] }],
  ['only just idle: kept', { instances: some({ idle: 2 }, 5) }, { hold: [] }],
  [
    'jobs come often: as many as the next one needs are kept for as long as a start costs',
    { instances: some({ idle: 3 }, 100), arrivals: { perSecond: 0.1, workSeconds: 1_000 } },
    { hold: ['idle-0'] },
  ],
  [
    'and not for longer',
    { instances: some({ idle: 3 }, 151), arrivals: { perSecond: 0.1, workSeconds: 1_000 } },
    { hold: ['idle-0', 'idle-1', 'idle-2'] },
  ],
  [
    'the least that is wanted is never held',
    { instances: some({ idle: 3 }), limits: { min: 2 } },
    { hold: ['idle-0'] },
  ],
  [
    'people lowered the most: idle ones first, and as many busy ones as it takes, which end their batches',
    { demand: work(60_000), instances: some({ idle: 1, busy: 3 }, 1), limits: { max: 2 } },
    { hold: ['idle-0', 'busy-0'], remove: [] },
  ],
  [
    'people lowered the most while others are on their way: who is at work stays until those have come',
    { demand: work(60_000), instances: some({ busy: 5, starting: 5 }, 1), limits: { max: 5 } },
    { hold: [], remove: [] },
  ],
  [
    'as many are held as have come',
    { demand: work(60_000), instances: some({ busy: 5, idle: 1, starting: 4 }, 1), limits: { max: 5 } },
    { hold: ['idle-0'] },
  ],
  [
    'people set a size that is there already, while others are on their way: nobody leaves for those',
    { instances: some({ idle: 5, starting: 5 }), limits: { size: 5 } },
    { hold: [] },
  ],
  [
    'what failed goes, and is replaced',
    { demand: work(600), instances: some({ failed: 1 }) },
    { grow: 1, remove: ['failed-0'] },
  ],
  [
    'so does what starts for longer than anything ever does',
    { demand: work(600), instances: some({ starting: 1 }, 601) },
    { grow: 1, remove: ['starting-0'] },
  ],
])('%s', (_, changes, wanted) => expect(decide(snapshot(changes))).toMatchObject(wanted))

test('nothing is started that would come when all is done, or work for less than it takes to start', () => {
  const late = { backlogSeconds: 60, instances: some({ busy: 2 }) }
  // Two have 200 s left each: one more would be there for the last 50.
  expect(decide(snapshot({ ...late, demand: work(400) }))).toMatchObject({
    ...{ target: 2, grow: 2 },
    why: '400 s of work in 60 s: it is done before another would have started',
  })
  // After the start 1,500 s are left: enough for ten that work as long as they start, not for the 30 of 60 s each.
  expect(decide(snapshot({ ...late, demand: work(1_800) }))).toMatchObject({ target: 10, grow: 10 })
})

test('what is idle is kept the longer the more likely the next job comes before another one would have started', () => {
  const often = (perSecond: number) => keepWarmSeconds(150, { perSecond, workSeconds: 1 })
  expect(often(0)).toBe(10)
  expect(often(1 / 1_500)).toBeCloseTo(150 * (1 - Math.exp(-0.1)))
  expect(often(1)).toBeCloseTo(150)
  expect(keepWarmSeconds(2, { perSecond: 0, workSeconds: 1 })).toBe(2)
})

/** What becomes of a fleet that does as it is told, as far as that can be seen at once. */
function after(before: Snapshot, { hold, recall, remove, grow }: Decision): Snapshot {
  const kept = before.instances
    .filter(({ name }) => !remove.includes(name))
    .map((each) => {
      if (recall.includes(each.name)) return { ...each, state: 'idle' as const, since: before.now }
      if (hold.includes(each.name)) return { ...each, state: 'draining' as const, since: before.now }
      return each
    })
  const fresh = Array.from({ length: grow - present(before) }, (_, i) => {
    return { name: `new-${i}`, state: 'starting' as const, since: before.now }
  })
  return { ...before, instances: [...kept, ...fresh] }
}

const states: [InstanceState, ...InstanceState[]] = [
  ...(['starting', 'idle', 'busy', 'draining', 'held', 'failed', 'leaving'] as const),
]

/** Any fleet, with any work. */
function anySnapshot({ next, int, pick }: ReturnType<typeof seeded>): Snapshot {
  const min = int(0, 5)
  const max = int(min, 20)
  return snapshot({
    demand: {
      workSeconds: int(0, 1) * int(0, 20_000),
      entries: int(0, 40),
      unplannedJobs: int(0, 1) * int(0, 3),
    },
    limits: { min, max, size: next() < 0.2 ? int(min, max) : null },
    instances: Array.from({ length: int(0, 20) }, (_, i) => {
      return { name: `i-${i}`, state: pick(states), since: now - int(0, 900) }
    }),
    ...{ workersPerInstance: int(1, 4), startSeconds: int(1, 300), backlogSeconds: int(10, 2_000) },
    growthBlockedUntil: now + pick([-60, -60, -60, 60]),
    arrivals: { perSecond: next() / 60, workSeconds: int(0, 2_000) },
  })
}

/** What is wrong with a decision, whatever it was made of. */
function faultsOf(seen: Snapshot, decision: Decision): string[] {
  const { min, max } = seen.limits
  const { target, grow, hold, recall, remove } = decision
  const are = (names: string[], ...allowed: InstanceState[]) =>
    names.every((name) =>
      allowed.includes(seen.instances.find((each) => each.name === name)?.state ?? 'leaving'),
    )
  const outcome = after(seen, decision)
  const left = (...of: InstanceState[]) => outcome.instances.filter(({ state }) => of.includes(state)).length
  const again = decide(outcome)
  const rules: [string, boolean][] = [
    ['removes only what is empty, failed or never came', are(remove, 'held', 'failed', 'starting')],
    ['recalls only what was held', are(recall, 'held', 'draining')],
    ['holds only what works', are(hold, 'idle', 'busy')],
    [
      'does one thing with each',
      new Set([...remove, ...recall, ...hold]).size === [...remove, ...recall, ...hold].length,
    ],
    ['wants what people allow', min <= target && target <= max],
    ['shrinks by removing alone', grow >= present(seen)],
    ['grows to what people allow', grow <= Math.max(present(seen), max)],
    [
      'leaves the least there is to be',
      left('starting', 'idle', 'busy') >= min || seen.growthBlockedUntil > now,
    ],
    ['leaves no more at work than there may be', left('idle', 'busy') <= max],
    [
      'changes nothing when it is asked again',
      again.grow === present(outcome) &&
        again.hold.length + again.recall.length === 0 &&
        again.remove.every((name) => remove.includes(name)),
    ],
  ]
  return rules.filter(([, kept]) => !kept).map(([rule]) => rule)
}

test.each(seeds(20))('whatever is seen, all rules are kept (%i)', (seed) => {
  const random = seeded(seed)
  for (let round = 0; round < 100; round++) {
    const seen = anySnapshot(random)
    const decision = decide(seen)
    const faults = faultsOf(seen, decision)
    expect({ faults, ...(faults.length > 0 ? { seen, decision } : {}) }).toEqual({ faults: [] })
  }
})

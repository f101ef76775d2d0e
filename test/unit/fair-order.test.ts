import { expect, test } from 'vitest'
import { seeded, seeds } from '../../scripts/chaos/seeded.ts'
import { beginning, lastTag, virtualStarts, weightOf } from '../../src/producer/fair-order.ts'
import { reorder } from '../../src/producer/reorder.ts'

test.each([
  ['into an empty queue', { now: 0, costs: [10, 10, 10], weight: 1 }, [1, 11, 21]],
  ['behind what is at work', { now: 500, costs: [10, 5, 5], weight: 1 }, [500, 510, 515]],
  ['of twice the weight', { now: 0, costs: [10, 10, 10], weight: 2 }, [1, 6, 11]],
  ['of a fifth of the weight', { now: 0, costs: [10, 10, 10], weight: 0.2 }, [1, 51, 101]],
  ['a part of which is done', { now: 7, costs: [0, 0, 10, 10], weight: 1 }, [7, 7, 7, 17]],
  ['in splinters of a second', { now: 0, costs: [0.3, 0.3, 0.3, 0.3, 0.3], weight: 1 }, [1, 1, 2, 2, 2]],
  ['without batches', { now: 3, costs: [], weight: 1 }, []],
])('a job %s', (_, options, starts) => {
  expect(virtualStarts(options)).toEqual(starts)
})

test.each([
  ['at the next in line, where nothing is at work', { now: 700, active: [], share: 0.5 }, 700],
  ['half of what is under way before it', { now: 900, active: [100, 300, 500, 700, 800], share: 0.5 }, 500],
  ['a tenth of it, beside nine others', { now: 900, active: [100, 300, 500, 700, 800], share: 0.1 }, 820],
  ['not before all times', { now: 30, active: [1, 1, 1], share: 1 }, 1],
  ['as if one that was tried again were not there', { now: 900, active: [1, 880, 890], share: 0.5 }, 880],
  ['no later than the next in line', { now: 100, active: [500, 600], share: 0.5 }, 100],
])('a newcomer begins %s', (_, options, begin) => {
  expect(beginning(options)).toBeCloseTo(begin, 9)
})

test('a job that is longer than there is room for is squeezed, and others can still come after its beginning', () => {
  const starts = virtualStarts({
    now: 1_000_000,
    costs: Array.from({ length: 101 }, () => 1e6),
    weight: 0.01,
  })
  expect(starts[0]).toBe(1_000_000)
  expect(starts.at(-1)).toBe(lastTag)
  expect(starts[50]).toBe(Math.round((1_000_000 + lastTag) / 2))
})

test.each([
  ['alone, as usual', { priority: 5, ownPriorities: [], othersWeight: 0, share: 1 }, 1],
  ['alone, urgent', { priority: 10, ownPriorities: [], othersWeight: 3, share: 1 }, 2],
  ['alone, not urgent', { priority: 1, ownPriorities: [], othersWeight: 3, share: 1 }, 0.2],
  ['one of four', { priority: 5, ownPriorities: [5, 5, 5], othersWeight: 1, share: 1 }, 0.25],
  ['one of a thousand', { priority: 5, ownPriorities: many(999, 5), othersWeight: 1, share: 1 }, 0.001],
  ['urgent beside three others', { priority: 10, ownPriorities: [5, 5], othersWeight: 1, share: 1 }, 1],
  ['of a client who may have half', { priority: 10, ownPriorities: [], othersWeight: 1, share: 0.5 }, 1],
  ['of a client who may have a fifth', { priority: 5, ownPriorities: [], othersWeight: 1, share: 0.2 }, 0.25],
  ['of a client who may have a fifth, when nobody waits', fifthAlone(), 1],
])('the weight of a job: %s', (_, options, weight) => {
  expect(weightOf(options)).toBeCloseTo(weight, 9)
})

test('however many jobs a client has, together they weigh as much as its most urgent one', () => {
  const priorities = [5, 5, 1, 3, 10, 2]
  const weights = priorities.map((priority, i) =>
    weightOf({ priority, ownPriorities: priorities.toSpliced(i, 1), othersWeight: 1, share: 1 }),
  )
  expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(2, 9)
})

const line = (tags: number[], span = (tags.at(-1) ?? 0) - (tags[0] ?? 0), step = 10) => ({
  waiting: tags.map((tag, i) => ({ entry: String(i), tag })),
  ...{ span, step },
})
const after = (now: number, given: ReturnType<typeof line>) => {
  const to = new Map(reorder(now, given).map(({ entry, to: tag }) => [entry, tag]))
  return given.waiting.map(({ entry, tag }) => to.get(entry) ?? tag)
}

test.each([
  ['is left as it is where it stands well', 100, line([110, 200, 300]), [110, 200, 300]],
  ['moves up where it begins too late', 100, line([5_000, 5_100, 5_200]), [180, 280, 380]],
  ['is drawn together where it is too long', 100, line([100, 1_100, 2_100], 200), [100, 200, 300]],
  ['is stretched where it is too short', 100, line([100, 110, 120], 400), [100, 300, 500]],
  ['is spread where all start at once', 100, line([100, 100, 100, 100], 300), [100, 200, 300, 400]],
  ['is not moved for a little', 100, line([100, 120, 140], 80), [100, 120, 140]],
  ['is put in order', 100, line([900, 900, 110, 120]), [110, 110, 110, 120]],
  ['keeps what was put back', 100, line([7, 9, 100, 1_100, 2_100], 200), [7, 9, 100, 200, 300]],
  ['may be all put back', 100, line([7, 9]), [7, 9]],
  [
    'never ends after the last of all times',
    lastTag - 100,
    line(many(3, lastTag - 100), 1e9),
    [lastTag - 100, lastTag - 50, lastTag],
  ],
])('the line of a job %s', (_, now, given, tags) => {
  expect(after(now, given)).toEqual(tags)
})

test.each(seeds(100))('whatever the tags (seed %i), they are put in order, and stay so', (seed) => {
  const { int } = seeded(seed)
  const now = int(0, 2_000)
  const tags = Array.from({ length: int(1, 40) }, () => int(1, int(1, 3) * 2_000))
  const given = line(tags, int(0, 5_000), int(1, 100))
  const once = after(now, given)
  expect(once).toEqual(once.toSorted((a, b) => a - b))
  const first = once.find((tag) => tag >= now) ?? 0
  expect(first).toBeLessThanOrEqual(now + 2 * given.step + 60)
  expect(reorder(now, line(once, given.span, given.step))).toEqual([])
})

function many(count: number, value: number): number[] {
  return Array.from({ length: count }, () => value)
}

function fifthAlone() {
  return { priority: 5, ownPriorities: [], othersWeight: 0, share: 0.2 }
}

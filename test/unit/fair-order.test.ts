import { expect, test } from 'vitest'
import { seeded, seeds } from '../../scripts/chaos/seeded.ts'
import { beginning, lastTag, newcomerStarts, virtualStarts, weigh } from '../../src/producer/fair-order.ts'
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

const jobs = (client: string, ...priorities: number[]) => priorities.map((priority) => ({ client, priority }))

test.each([
  ['alone, as usual', jobs('a', 5), 1, 1, 1],
  ['alone, urgent', [...jobs('a', 10), ...jobs('b', 5), ...jobs('c', 5)], 1, 2, 0.5],
  ['alone, not urgent', [...jobs('a', 1), ...jobs('b', 5)], 1, 0.2, 1 / 6],
  ['one of four', [...jobs('a', 5, 5, 5, 5), ...jobs('b', 5)], 1, 0.25, 1 / 8],
  ['one of a thousand', [...jobs('a', ...many(1_000, 5)), ...jobs('b', 5)], 1, 0.001, 1 / 2_000],
  ['urgent beside three others', [...jobs('a', 10, 5, 5), ...jobs('b', 5)], 1, 1, 1 / 3],
  ['of a client who may have half', [...jobs('a', 10), ...jobs('b', 5)], 0.5, 1, 0.5],
  ['of a client who may have half, beside an urgent one', [...jobs('a', 10), ...jobs('b', 10)], 0.5, 2, 0.5],
  ['of a client who may have half, beside a lazy one', [...jobs('a', 5), ...jobs('b', 1, 1)], 0.5, 0.2, 0.5],
  ['of a client who may have a fifth', [...jobs('a', 5), ...jobs('b', 5)], 0.2, 0.25, 0.2],
  ['of a client who may have a fifth, when nobody waits', jobs('a', 5), 0.2, 1, 1],
])('the weight of a job: %s', (_, all, share, weight, part) => {
  const [standing] = weigh(all, share)
  expect(standing?.weight).toBeCloseTo(weight, 9)
  expect(standing?.part).toBeCloseTo(part, 9)
})

test('however many jobs a client has, together they weigh as much as its most urgent one', () => {
  const standings = weigh([...jobs('a', 5, 5, 1, 3, 10, 2), ...jobs('b', 5)], 1)
  const own = standings.slice(0, 6)
  expect(own.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(2, 9)
  expect(own.map(({ ofClient }) => ofClient)).toEqual(many(6, 2))
})

const oneOfFour = { weight: 0.25, ofClient: 1, part: 1 / 8 }
test.each([
  ['alone', { siblings: [], standing: { weight: 1, ofClient: 1, part: 0.5 } }, [100, 110]],
  ['behind the latest of its client', { siblings: [90, 120, 110] }, [130, 170]],
  ['no later than a step of its own', { siblings: [5_000] }, [140, 180]],
  ['beside those that began long ago', { siblings: [3, 40] }, [100, 140]],
  ['though it takes less than a second', { siblings: [100], costs: [0.1, 0.1] }, [100, 101]],
  ['by what is left to do', { siblings: [120], costs: [0, 0, 10, 10] }, [130, 130, 130, 170]],
])('a newcomer whose client has other jobs begins %s', (_, given, starts) => {
  const base = { now: 100, active: [], costs: [10, 10], standing: oneOfFour }
  expect(newcomerStarts({ ...base, ...given })).toEqual(starts)
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

import { expect, test } from 'vitest'
import { dueRun, latestRun, nextRun } from '../../src/producer/schedules/clock.ts'
import { addRun, settle, startWaiting } from '../../src/producer/schedules/overlap.ts'
import { type Run, Schedule } from '../../src/producer/schedules/schedule.ts'
import { requestOf } from '../../src/producer/schedules/template.ts'

const hourMs = 3_600_000
const utc = (time: string) => Date.parse(`${time}Z`)
const shown = (at: number | undefined) =>
  at === undefined ? undefined : new Date(at).toISOString().slice(0, 16)

const berlin = (cron: string) => ({ cron, timezone: 'Europe/Berlin' })

/** Every run between two times, as whoever looks so often finds them; and as a chain of next ones. */
function runsOf(cron: string, from: string, to: string, everyMs: number) {
  const found: (string | undefined)[] = []
  let since = utc(from)
  for (let now = utc(from); now <= utc(to); now += everyMs) {
    const due = dueRun(berlin(cron), since, now)
    if (!due) continue
    expect(latestRun(berlin(cron), now)).toBe(due.at)
    found.push(shown(due.at))
    since = due.at
  }
  const chain: (string | undefined)[] = []
  for (let at = nextRun(berlin(cron), utc(from)); at <= utc(to); at = nextRun(berlin(cron), at))
    chain.push(shown(at))
  expect(chain).toEqual(found)
  return found
}

// In Berlin 02:00 became 03:00 on 29 March 2026 (at 01:00 UTC), and 03:00 became 02:00 on 25 October (at 01:00 UTC).
test.each([7 * 60_000, 20 * 60_000, hourMs])(
  'on days when clocks change a daily run is made once, whenever somebody looks (every %i ms)',
  (everyMs) => {
    expect(runsOf('30 2 * * *', '2026-03-27T12:00', '2026-03-30T12:00', everyMs)).toEqual([
      '2026-03-28T01:30',
      '2026-03-29T01:30',
      '2026-03-30T00:30',
    ])
    expect(runsOf('30 2 * * *', '2026-10-23T12:00', '2026-10-26T12:00', everyMs)).toEqual([
      '2026-10-24T00:30',
      '2026-10-25T00:30',
      '2026-10-26T01:30',
    ])
  },
)

test('and an hourly one every real hour', () => {
  for (const day of ['2026-03-29', '2026-10-25'])
    expect(runsOf('0 * * * *', `${day}T00:30`, `${day}T04:30`, 10 * 60_000)).toEqual(
      [1, 2, 3, 4].map((hour) => `${day}T0${hour}:00`),
    )
})

// At midnight, or by half an hour.
test.each([
  [
    'Africa/Cairo',
    '0 0 * * *',
    '2026-04-22T12:00',
    ['04-22T22:00', '04-23T22:00', '04-24T21:00', '04-25T21:00'],
  ],
  ['America/Havana', '0 0 8 3 *', '2026-03-06T12:00', ['03-08T05:00']],
  ['America/Santiago', '0 0 * * 0', '2026-09-04T12:00', ['09-06T04:00']],
  [
    'America/Santiago',
    '30 23 * * *',
    '2026-04-03T12:00',
    ['04-04T02:30', '04-05T02:30', '04-06T03:30', '04-07T03:30'],
  ],
  [
    'Australia/Lord_Howe',
    '15 2 * * *',
    '2026-10-02T12:00',
    ['10-02T15:45', '10-03T15:45', '10-04T15:15', '10-05T15:15'],
  ],
  [
    'Australia/Lord_Howe',
    '45 * * * *',
    '2026-04-04T13:00',
    ['04-04T13:45', '04-04T14:45', '04-04T15:15', '04-04T16:15'],
  ],
] as const)('no run is lost where clocks change in %s: %s', (timezone, cron, from, expected) => {
  const times = { cron, timezone }
  const runs: number[] = []
  for (let at = utc(from); runs.length < expected.length;) runs.push((at = nextRun(times, at)))
  expect(runs.map((at) => shown(at)?.slice(5))).toEqual(expected)
  const [first = 0, last = 0] = [runs[0], runs.at(-1)]
  for (let now = first; now <= last; now += hourMs)
    expect(latestRun(times, now)).toBe(runs.findLast((at) => at <= now))
  expect(dueRun(times, first - 1, last)).toEqual({ at: last, missed: runs.length - 1 })
})

test('the last run of one that is seldom is found, as far back as fifty years', () => {
  const now = utc('2026-12-20T10:00')
  const latest = (cron: string) => shown(latestRun({ cron, timezone: 'UTC' }, now))
  expect(latest('* * * 1 *')).toBe('2026-01-31T23:59')
  expect(latest('0 0 * 2 1#5')).toBe('2016-02-29T00:00')
  const every = { cron: '* * * 1 *', timezone: 'UTC' }
  expect(dueRun(every, utc('2025-12-01T00:00'), now)).toEqual({ at: utc('2026-01-31T23:59'), missed: 1_000 })
})

test('of runs that were missed the latest is made up for, and the others are counted', () => {
  const hourly = { cron: '0 * * * *', timezone: 'UTC' }
  expect(dueRun(hourly, utc('2026-03-01T09:00'), utc('2026-03-01T09:59'))).toBeUndefined()
  const due = (now: string) => dueRun(hourly, utc('2026-03-01T09:00'), utc(now))
  expect(due('2026-03-01T10:00')).toEqual({ at: utc('2026-03-01T10:00'), missed: 0 })
  expect(due('2026-03-02T09:30')).toEqual({ at: utc('2026-03-02T09:00'), missed: 23 })
  // A year is not counted through.
  expect(due('2027-03-02T09:30')).toEqual({ at: utc('2027-03-02T09:00'), missed: 1_000 })
  const yearly = { cron: '0 0 29 2 *', timezone: 'UTC' }
  expect(shown(dueRun(yearly, utc('2020-03-01T00:00'), utc('2026-03-01T00:00'))?.at)).toBe('2024-02-29T00:00')
})

const template = { source: { url: 'https://a.example/in.mp4' }, model: 'passthrough' }
test.each([
  ['61 * * * *', 'UTC', 'got value 61 expected range 0-59'],
  ['* * * *', 'UTC', 'must have five fields'],
  ['* * * * * *', 'UTC', 'must have five fields'],
  ['H * * * *', 'UTC', 'must say its times'],
  ['0 0 31 2 *', 'UTC', "can't be used"],
  ['every day at noon please', 'UTC', "can't be used"],
  ['0 * * * *', 'Mars/Olympus', 'must be the name of a time zone'],
])('%s in %s is refused in one sentence', (cron, timezone, why) => {
  const { error } = Schedule.safeParse({ cron, timezone, job: template })
  expect(error?.issues).toHaveLength(1)
  expect(error?.issues[0]?.message).toContain(why)
})

const urlOf = (name: string) => `https://media.example/${name}`
const scheduled = (job: object, window?: object) =>
  Schedule.parse({ cron: '5 * * * *', job, ...(window ? { window } : {}) })

test('a run puts its times where paths are, those of the window where there is one', () => {
  const job = {
    source: {
      table: { prefix: 'readings/{yyyy}/{mm}/{dd}/{hh}/', format: 'ndjson', key: ['TS'], features: ['Val'] },
    },
    modelBy: { pattern: 'svm-{device}-{tag}' },
    output: { scores: { name: 'scores/{run}/{from}.csv', format: 'csv' } },
  }
  const at = utc('2026-03-01T00:05')
  const request = requestOf(scheduled(job, { minutes: 60, lagMinutes: 5 }), at, urlOf)
  expect(request.source.table?.prefix).toBe('readings/2026/02/28/23/')
  expect(request.modelBy?.pattern).toBe('svm-{device}-{tag}')
  expect(request.output.scores?.url).toBe(
    'https://media.example/scores/20260301T000500Z/2026-02-28T23:00:00Z.csv',
  )
  expect(requestOf(scheduled(job), at, urlOf).source.table?.prefix).toBe('readings/2026/03/01/00/')
})

test('a column may be called as people like: name, url, or something in braces', () => {
  const columns = { name: 'text', url: 'text', '{hh}': 'number' } as const
  const rename = { score: 'name', name: '{hh}' }
  const request = requestOf(
    scheduled({
      source: { table: { prefix: 'in/{dd}/', format: 'csv', columns, key: ['name'], features: ['{hh}'] } },
      model: 'any',
      output: { scores: { rename } },
    }),
    utc('2026-03-01T09:05'),
    urlOf,
  )
  expect(request.source.table).toMatchObject({ prefix: 'in/01/', columns, key: ['name'], features: ['{hh}'] })
  expect(request.output.scores).toMatchObject({ rename })
})

test.each([
  [{ ...template, source: { name: 'in/{year}.mp4' } }, 'job: {year} stands for nothing; there are dd, from'],
  [{ ...template, source: { name: '../{dd}.mp4' } }, 'job: ../01.mp4 is no plain path'],
  [
    { ...template, source: { url: `${template.source.url}?sig=abc` } },
    'job: https://a.example/in.mp4 must be without a query',
  ],
  [
    { ...template, source: { url: ' HTTPS://a.example/in.mp4?sig=abc' } },
    'job: https://a.example/in.mp4 must be without a query',
  ],
  [
    {
      ...template,
      source: { images: { list: ['https://a.example/1.png', 'Http://a.example/2.png?sig=abc'] } },
    },
    'job: http://a.example/2.png must be without a query',
  ],
  [{ ...template, source: { name: 'in/a.mp4', ...template.source } }, 'job: give either a name or a url'],
  [{ ...template, priority: 11 }, 'job.priority: '],
  [{ source: template.source }, 'job.model: give a model'],
])('a job that would be refused is refused when it is set: %j', (job, why) => {
  expect(() => requestOf(scheduled(job), utc('2026-03-01T09:05'), urlOf)).toThrow(why)
})

test('one that is nested without end is refused as well', () => {
  const source = JSON.parse(`${'['.repeat(30_000)}${']'.repeat(30_000)}`) as object
  expect(() => requestOf(scheduled({ ...template, source }), utc('2026-03-01T09:05'), urlOf)).toThrow(
    'nested more than 20 deep',
  )
})

const dueAt = (hour: number) => {
  const at = new Date(utc('2026-03-01T00:00') + hour * hourMs).toISOString()
  return { key: at, at, firedAt: at, by: 'cron' as const, jobId: `job-${hour}` }
}
const outcomes = (runs: Run[]) => runs.map(({ jobId, outcome }) => [jobId, outcome])
/** One that has its job. */
const begun = settle(addRun([], dueAt(0), { overlap: 'skip' }, []), dueAt(0).key, { outcome: 'started' })

test('while the job of the run before goes on a run is skipped, waits or takes its place', () => {
  expect(outcomes(addRun(begun, dueAt(1), { overlap: 'skip' }, []))).toEqual([
    ['job-0', 'started'],
    ['job-1', 'starting'],
  ])
  const skipped = addRun(begun, dueAt(1), { overlap: 'skip' }, ['job-0'])
  expect(skipped.at(-1)).toMatchObject({ outcome: 'skipped', why: 'The job job-0 had not ended.' })
  expect(skipped.at(-1)?.jobId).toBeUndefined()
  expect(addRun(begun, dueAt(1), { overlap: 'queue' }, ['job-0']).at(-1)).toMatchObject({
    outcome: 'waiting',
  })
  expect(addRun(begun, dueAt(1), { overlap: 'cancel' }, ['job-0']).at(-1)).toMatchObject({
    outcome: 'starting',
    instead: ['job-0'],
  })
  expect(addRun(begun, dueAt(1), { overlap: 'cancel' }, []).at(-1)?.instead).toBeUndefined()
  expect(addRun(skipped, dueAt(1), { overlap: 'cancel' }, ['job-0'])).toBe(skipped)
})

test('of two producers the one that started the job is right, whichever says so first', () => {
  const starting = addRun([], dueAt(0), { overlap: 'skip' }, [])
  const { key } = dueAt(0)
  const refused = settle(starting, key, { outcome: 'refused', why: 'The source is not there (404).' })
  expect(refused.at(-1)).toMatchObject({ outcome: 'refused', why: 'The source is not there (404).' })
  expect(settle(refused, key, { outcome: 'started' })).toEqual(begun)
  expect(settle(begun, key, { outcome: 'refused', why: 'late' })).toEqual(begun)
})

test('runs that wait go one by one, in order; no more than ten wait', () => {
  let runs = begun
  for (let hour = 1; hour <= 12; hour++) runs = addRun(runs, dueAt(hour), { overlap: 'queue' }, ['job-0'])
  expect(runs.filter(({ outcome }) => outcome === 'waiting')).toHaveLength(10)
  expect(runs.at(-1)).toMatchObject({ outcome: 'skipped', why: '10 runs wait already.' })
  const jobIdOf = ({ at }: Pick<Run, 'at'>) => at
  expect(startWaiting(runs, ['job-0'], jobIdOf)).toBe(runs)
  runs = startWaiting(runs, [], jobIdOf)
  expect(runs.at(-1)).toMatchObject({ at: dueAt(1).at, outcome: 'starting', jobId: dueAt(1).at })
  // Who comes later does not pass those that wait, even while nothing goes on.
  expect(addRun(runs, dueAt(13), { overlap: 'queue' }, []).at(-1)).toMatchObject({ outcome: 'waiting' })
})

test('a hundred runs are remembered, and whatever is under way', () => {
  let runs = addRun(begun, dueAt(1), { overlap: 'queue' }, ['job-0'])
  for (let hour = 2; hour <= 300; hour++) runs = addRun(runs, dueAt(hour), { overlap: 'skip' }, ['job-0'])
  expect(runs).toHaveLength(100)
  expect(runs[0]).toMatchObject({ outcome: 'waiting', at: dueAt(1).at })
  expect(runs.at(-1)?.at).toBe(dueAt(300).at)
})

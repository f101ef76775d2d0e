import { InputError } from '../../shared/errors.ts'
import { JobRequest } from '../../shared/job.ts'
import type { Schedule } from './schedule.ts'

type Values = Record<string, string>
const minuteMs = 60_000
/** More than any job request is. */
const deepest = 20

/** Words of a job request in which times may stand: elsewhere braces mean something else. */
const timed = new Set(['url', 'name', 'prefix', 'manifest', 'list', 'from', 'to'])
/** Words under which people's own words stand: a column may be called name. */
const theirs = new Set(['columns', 'rename'])

/** The time that a run is about, in ms; a moment where the schedule has no window. */
function windowOf({ window }: Pick<Schedule, 'window'>, at: number): { from: number; to: number } {
  const to = at - (window?.lagMinutes ?? 0) * minuteMs
  return { from: to - (window?.minutes ?? 0) * minuteMs, to }
}

/**
 * The job of a run at `at` (ms). All times in it are UTC, so that no two hours have one name when clocks change. Throws
 * InputError `bad-schedule` with one sentence where that is no job request.
 */
export function requestOf(schedule: Schedule, at: number, urlOf: (name: string) => string): JobRequest {
  const { from, to } = windowOf(schedule, at)
  const [yyyy, mm, dd, hh, min] = iso(from).split(/[-T:]/) as [string, string, string, string, string]
  const values: Values = { yyyy, mm, dd, hh, min, from: iso(from), to: iso(to) }
  values['run'] = iso(at).replaceAll(/[-:]/g, '')
  const filled = fill(schedule.job, { values, urlOf, isTimed: false, depth: 0 })
  const read = JobRequest.safeParse(filled)
  if (!read.success) {
    const [issue] = read.error.issues
    throw bad(`${['job', ...(issue?.path ?? [])].join('.')}: ${issue?.message ?? 'is no job request'}`)
  }
  // As it was read: that takes URLs with spaces around them, or in capitals.
  const secret = urlsOf(read.data).find(({ search }) => search !== '')
  if (secret)
    throw bad(`job: ${secret.origin}${secret.pathname} must be without a query: a schedule keeps no SAS`)
  return read.data
}

type Filling = { values: Values; urlOf: (name: string) => string; isTimed: boolean; depth: number }

function fill(value: unknown, how: Filling): unknown {
  const { values, urlOf, isTimed } = how
  if (typeof value === 'string') return isTimed ? filledText(value, values) : value
  if (typeof value !== 'object' || value === null) return value
  const depth = how.depth + 1
  if (depth > deepest) throw bad(`job: is nested more than ${deepest} deep, as no job request is`)
  if (Array.isArray(value)) return value.map((each) => fill(each, { ...how, depth }))
  return Object.fromEntries(
    Object.entries(value).map(([word, inside]) => {
      if (theirs.has(word)) return [word, inside]
      if (word === 'name' && 'url' in value) throw bad('job: give either a name or a url')
      const filled = fill(inside, { ...how, depth, isTimed: timed.has(word) })
      return word === 'name' && typeof filled === 'string' ? ['url', urlOf(plain(filled))] : [word, filled]
    }),
  )
}

const filledText = (text: string, values: Values): string =>
  text.replaceAll(/\{([^{}]*)\}/g, (whole, word: string) => {
    const value = values[word]
    if (value === undefined)
      throw bad(`job: ${whole} stands for nothing; there are ${Object.keys(values).sort().join(', ')}`)
    return value
  })

function plain(name: string): string {
  if (name === '' || /^\/|\/\/|\\|(?:^|\/)\.{1,2}(?:\/|$)/.test(name))
    throw bad(`job: ${name || 'an empty name'} is no plain path of a blob, such as in/film.mp4`)
  return name
}

function urlsOf(value: unknown): URL[] {
  if (typeof value === 'string') {
    const url = URL.parse(value)
    return url && /^https?:$/.test(url.protocol) ? [url] : []
  }
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(urlsOf) : []
}

const iso = (at: number) => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z')
const bad = (message: string) => new InputError('bad-schedule', message)

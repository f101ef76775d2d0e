/// <reference lib="esnext.temporal" />
import { CronExpressionParser } from 'cron-parser'
import { InputError } from '../../shared/errors.ts'

/** When a schedule's times are. Pure: every time is given, in ms. */
export type Times = { cron: string; timezone: string }

const mostMissed = 1_000
/** Where clocks change no time is put off by more. */
const putOffMs = 3 * 3_600_000
/** Some are years apart: a fifth Monday of February comes every 28. */
const longestMs = 50 * 366 * 24 * 3_600_000
/** Clocks of processes that are all right differ by less. */
export const clocksDifferMs = 60_000

/** Why it can't be used, in words that go on from the field's name; undefined where it can. */
export function whyNoCron(cron: string): string | undefined {
  const fields = cron.trim().split(/\s+/)
  const form = 'must have five fields: minute, hour, day of the month, month and day of the week'
  if (fields.length !== 5) return form
  // The parser would draw lots for it, each time anew.
  if (fields.some((field) => /(?:^|,)H/i.test(field))) return 'must say its times: H is none'
  try {
    CronExpressionParser.parse(cron, { tz: 'UTC' }).next()
    return undefined
  } catch (error) {
    return `can't be used (${(error as Error).message})`
  }
}

export function whyNoTimezone(timezone: string): string | undefined {
  try {
    Intl.DateTimeFormat('en', { timeZone: timezone })
    return undefined
  } catch {
    return 'must be the name of a time zone, as Europe/Berlin'
  }
}

/** The first run after `now`. */
export const nextRun = (times: Times, now: number): number => following(times, now)()

/** The last run up to `now`. Throws InputError `bad-schedule` where there was none in fifty years. */
export function latestRun(times: Times, now: number): number {
  for (let span = 3_600_000; span < 2 * longestMs; span *= 2) {
    const run = nextRun(times, now - span)
    if (run <= now) return lastBetween(times, run, now)
  }
  throw new InputError('bad-schedule', 'cron: there was no run of it in the last fifty years.')
}

/** From `run` on, which is one, up to `now`. By halves: a month of minutes may lie between. */
function lastBetween(times: Times, run: number, now: number): number {
  let latest = run
  let noneAfter = now
  while (noneAfter - latest >= 1_000) {
    const middle = Math.floor((latest + noneAfter) / 2)
    const next = nextRun(times, middle)
    if (next <= now) latest = next
    else noneAfter = middle
  }
  return latest
}

/**
 * The run that is to be made now, where the last one was at `since`: of all that were due since then only the latest, and
 * how many went by before it, as far as they are counted.
 */
export function dueRun(times: Times, since: number, now: number): { at: number; missed: number } | undefined {
  const next = following(times, since)
  let found: number | undefined
  let runs = 0
  for (let at = next(); at <= now; at = next()) {
    found = at
    if (++runs > mostMissed) return { at: latestRun(times, now), missed: mostMissed }
  }
  return found === undefined ? undefined : { at: found, missed: runs - 1 }
}

/**
 * The runs after `from`, in order. The parser is given the clock on the wall as one that never changes: of one that does it
 * loses days. When that clock shows a time is said here.
 */
function following({ cron, timezone }: Times, from: number): () => number {
  // Around a change what the wall shows later may come before what is put off, or twice; elsewhere nobody need look further.
  const isCalm = (at: number) => offsetOf(at - putOffMs, timezone) === offsetOf(at + putOffMs, timezone)
  const start = from + offsetOf(from, timezone) - (isCalm(from) ? 0 : putOffMs)
  const wall = CronExpressionParser.parse(cron, { tz: 'UTC', currentDate: new Date(start) })
  const everyHour = wall.fields.hour.values.length === 24
  const found: number[] = []
  let read = -Infinity
  let last = from
  return () => {
    while (found[0] === undefined || (read <= found[0] + putOffMs && !isCalm(found[0]))) {
      const [first, second] = instantsOf(wall.next().getTime(), timezone)
      read = first
      for (const at of everyHour ? [first, second] : [first])
        if (at > last && !found.includes(at)) found.push(at)
      found.sort((a, b) => a - b)
    }
    last = found.shift() ?? last
    return last
  }
}

/** By how many ms the clock there is ahead of UTC. */
const offsetOf = (at: number, timezone: string): number =>
  Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(timezone).offsetNanoseconds / 1e6

/** When a clock there shows this time, which is in ms as if it were UTC: put off where it is left out, twice where it comes twice. */
function instantsOf(wall: number, timezone: string): [first: number, second: number] {
  const shown = Temporal.Instant.fromEpochMilliseconds(wall).toZonedDateTimeISO('UTC').toPlainDateTime()
  const first = shown.toZonedDateTime(timezone, { disambiguation: 'compatible' })
  const second = shown.toZonedDateTime(timezone, { disambiguation: 'later' })
  return [first.epochMilliseconds, second.epochMilliseconds]
}

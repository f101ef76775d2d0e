import { CronExpressionParser } from 'cron-parser'

/** When a schedule's times are. Pure: every time is given, in ms. */
export type Times = { cron: string; timezone: string }

/**
 * What the parser says of the hours around a change of clocks depends on where it begins; from this much earlier on it says
 * the same each time: 02:30 is once a day, on the day without it an hour later, on the day with two of them the first.
 */
const runUpMs = 3 * 3_600_000
const mostMissed = 1_000
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
export function nextRun(times: Times, now: number): number {
  const next = following(times, now)
  for (;;) {
    const at = next()
    if (at > now) return at
  }
}

/** The last run up to `now`. */
export function latestRun(times: Times, now: number): number {
  const back = CronExpressionParser.parse(times.cron, { tz: times.timezone, currentDate: new Date(now + 1) })
  // Backwards the parser tells other times where clocks change: they only say from where to look.
  for (let i = 0; i < 2; i++) back.prev()
  const next = following(times, back.prev().getTime())
  let latest = next()
  for (let at = latest; at <= now; at = next()) latest = at
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
    if (at <= since) continue
    found = at
    if (++runs > mostMissed) return { at: latestRun(times, now), missed: mostMissed }
  }
  return found === undefined ? undefined : { at: found, missed: runs - 1 }
}

function following({ cron, timezone }: Times, from: number): () => number {
  const times = CronExpressionParser.parse(cron, { tz: timezone, currentDate: new Date(from - runUpMs) })
  return () => times.next().getTime()
}

import { z } from 'zod'
import { whyNoCron, whyNoTimezone } from './clock.ts'

/** Runs that are remembered of a schedule. */
export const mostRuns = 100
/** Runs that wait for the one before them; later ones are skipped. */
export const mostWaiting = 10

export const ScheduleId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/)

const Window = z.strictObject({
  minutes: z.number().int().min(1).max(44_640).describe('how long it is'),
  lagMinutes: z
    .number()
    .int()
    .min(0)
    .max(44_640)
    .default(0)
    .describe('how long before the run it ends, so that what comes late is in it'),
})

/** What people set. */
export const Schedule = z
  .strictObject({
    cron: z
      .string()
      .max(200)
      .superRefine((cron, { addIssue }) => {
        const why = whyNoCron(cron)
        if (why !== undefined) addIssue({ code: 'custom', message: why })
      })
      .describe('five fields: minute, hour, day of the month, month, day of the week'),
    timezone: z
      .string()
      .max(100)
      .superRefine((timezone, { addIssue }) => {
        const why = whyNoTimezone(timezone)
        if (why !== undefined) addIssue({ code: 'custom', message: why })
      })
      .default('UTC')
      .describe('by whose clocks the cron goes, as Europe/Berlin'),
    job: z
      .record(z.string(), z.unknown())
      .describe(
        'a job request. Its URLs, names and prefixes may hold {yyyy} {mm} {dd} {hh} {min} {run} {from} {to}, all in UTC; blobs of the media container may be given by name in place of url',
      ),
    overlap: z
      .enum(['skip', 'queue', 'cancel'])
      .default('skip')
      .describe('what a run does while the job of the one before goes on: none, wait for it, or cancel it'),
    window: Window.optional().describe(
      'the time that a run is about: then {yyyy} to {min} are those of its beginning, else of the run',
    ),
  })
  .meta({ id: 'Schedule' })
export type Schedule = z.infer<typeof Schedule>

/** `schedules/<id>.json`. `since`: when its times began to count; what was due before is no run of it. */
export const StoredSchedule = z.object({ v: z.literal(1), since: z.iso.datetime(), ...Schedule.shape })
export type StoredSchedule = z.infer<typeof StoredSchedule>

/**
 * One run, as far as it came.
 *
 *   due ─┬─► waiting ─► starting ─┬─► started
 *        ├────────────────▲       └─► refused       (why says what was wrong with its job)
 *        └─► skipped                                (also from waiting and starting, where a later one takes its place)
 */
export const Run = z
  .object({
    key: z.string().max(200).describe('its own among the runs of the schedule'),
    at: z.iso.datetime().describe('the time that it is the run of'),
    firedAt: z.iso.datetime().describe('when that was seen'),
    by: z.enum(['cron', 'hand']),
    outcome: z.enum(['waiting', 'starting', 'started', 'skipped', 'refused']),
    jobId: z.string().optional(),
    instead: z.array(z.string()).optional().describe('the jobs that are cancelled for it'),
    missed: z.number().int().optional().describe('runs before it that nobody was there for, at most 1,000'),
    why: z.string().optional(),
  })
  .meta({ id: 'ScheduleRun' })
export type Run = z.infer<typeof Run>

/** `schedules/<id>/runs.json`: oldest first. */
export const StoredRuns = z.object({ v: z.literal(1), runs: z.array(Run) })

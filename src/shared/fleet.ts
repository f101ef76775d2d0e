import { z } from 'zod'

/**
 * Words of the fleet.
 *
 *   worker     one process that claims batches: one for each GPU
 *   instance   the machine (or, on a fleet of processes, the process) that workers run on: what is added and removed
 *   size       how many instances there are, or are to be
 *   hold       a worker that is held takes nothing new; once it is empty its instance may be removed, or it is recalled
 *
 *   starting ──► idle ◄──► busy
 *                 │ held     │ held
 *                 ▼          ▼
 *               held  ◄── draining          recalled: back to idle, or busy
 */
export const workerStates = ['idle', 'busy', 'draining', 'held'] as const
export type WorkerState = (typeof workerStates)[number]

/** What a worker says of itself with each beat. Times in ms of the clock. */
export const WorkerRecord = z
  .object({
    /** Of the process. */
    id: z.string().min(1).max(200),
    /** What its fleet calls the machine it runs on. */
    instance: z.string().min(1).max(200),
    state: z.enum(workerStates),
    /** When that state began. */
    since: z.number(),
    startedAt: z.number(),
    beatAt: z.number(),
    /** What its models run on, once it has loaded one. */
    device: z.string().max(40).nullable(),
    /** `name@version WIDTHxHEIGHT` of the latest batches, the last one first, at most eight. */
    models: z.array(z.string().max(160)).max(8),
    /** While it was busy, over its latest batches. */
    framesPerSecond: z.number().nullable(),
    batches: z.number().int(),
    /** Why it is leaving, if it is, in its own words: such as `Preempt of this machine`. */
    leaving: z.string().max(200).nullable(),
  })
  .meta({ id: 'Worker' })
export type WorkerRecord = z.infer<typeof WorkerRecord>

export const mostInstances = 10_000

const pausedMeans = 'the autoscaler starts and removes nothing; what was to be removed works on'

/** What holds of the fleet: what people set, and the environment where they have not. */
export const FleetSettings = z
  .strictObject({
    min: z.number().int().min(0).max(mostInstances).describe('never fewer instances'),
    max: z.number().int().min(0).max(mostInstances).describe('never more instances'),
    size: z
      .number()
      .int()
      .min(0)
      .max(mostInstances)
      .nullable()
      .default(null)
      .describe('exactly so many instances, whatever there is to do; null leaves it to the autoscaler'),
    paused: z.boolean().default(false).describe(pausedMeans),
  })
  .refine(({ min, max }) => min <= max, 'min must not be above max')
  .refine(
    ({ min, max, size }) => size === null || (min <= size && size <= max),
    'size must lie between min and max',
  )
  .meta({ id: 'FleetSettings' })
export type FleetSettings = z.infer<typeof FleetSettings>

const size = z.number().int().min(0).max(mostInstances)
/** What people set: `PUT /v1/fleet`. Lies in the system container, so that it outlives Redis. */
export const FleetChange = z
  .strictObject({
    min: size.optional().describe('never fewer instances'),
    max: size.optional().describe('never more instances'),
    size: size.nullable().optional().describe('exactly so many; null gives the size back to the autoscaler'),
    paused: z.boolean().optional().describe(pausedMeans),
  })
  .meta({ id: 'FleetChange' })
export type FleetChange = z.infer<typeof FleetChange>

/** What the autoscaler saw and decided at its last turn. */
export const FleetView = z
  .object({
    at: z.iso.datetime(),
    /** Which kind of fleet: `local` or `vmss`. */
    fleet: z.string(),
    instances: z.number().int(),
    /** How many are wanted. */
    target: z.number().int(),
    why: z.string(),
    /** Seconds that one worker would need for all that is in line. */
    demandSeconds: z.number(),
    /** From asking for an instance until its worker takes work. */
    startSeconds: z.number(),
    /** A size that somebody set on the fleet itself, and until when it is kept. */
    byHand: z.object({ size: z.number().int(), until: z.iso.datetime() }).nullable(),
    /** When it wanted another number than before, and why: the latest twenty, oldest first. */
    decisions: z
      .array(z.object({ at: z.iso.datetime(), target: z.number().int(), why: z.string() }))
      .max(20)
      .optional(),
    /** What went wrong at the fleet, in one sentence. */
    error: z.string().nullable(),
  })
  .meta({ id: 'Autoscaler' })
export type FleetView = z.infer<typeof FleetView>

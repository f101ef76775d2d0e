import { z } from 'zod'
import { errorClasses } from './classify.ts'

/** One failure of one entry, as evidence: kept beside the job, in its report and in quarantine. */
export const Incident = z
  .object({
    at: z.iso.datetime(),
    queue: z.string(),
    entry: z.string(),
    class: z.enum(errorClasses),
    attempt: z.number().int(),
    /** The process that met it: host and pid. */
    worker: z.string(),
    message: z.string(),
    /** The last that the program said which failed. */
    tail: z.string().optional(),
  })
  .meta({ id: 'Incident' })
export type Incident = z.infer<typeof Incident>

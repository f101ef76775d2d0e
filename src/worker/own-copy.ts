import { DelayedError, type Job } from 'bullmq'
import { BatchPayload } from '../shared/job.ts'

const laterMs = 1_000

/** Puts a copy aside that was made because this very worker is slow: it is for any other. Throws DelayedError then. */
export async function passOwnCopyBy(job: Job, token: string | undefined, me: string): Promise<void> {
  const batch = BatchPayload.safeParse(job.data).data
  if (batch?.copyOf !== me) return
  await job.moveToDelayed(Date.now() + laterMs, token)
  throw new DelayedError()
}

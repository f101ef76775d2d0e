import type { Report } from './job.ts'
import type { JobFiles } from './job-files.ts'
import type { JobStatuses } from './job-status.ts'

/**
 * What is left to do for a job whose report is written: the removal first, then the state, so that whoever sees the end
 * finds no leftovers; and the mark last, so that an end that is broken off is noticed. Safe to repeat; answers whether it was
 * the first time.
 */
export async function concludeJob(
  { files, statuses }: { files: JobFiles; statuses: JobStatuses },
  report: Report,
): Promise<boolean> {
  await files.removeIntermediates(report.jobId, { items: report.status === 'succeeded' })
  const first = await statuses.end(report.jobId, report.status, {
    ...(report.status === 'succeeded' ? { framesDone: report.frames } : {}),
    ...(report.error ? { errorCode: report.error.code, error: report.error.message } : {}),
    ...(report.output ? { output: report.output.url } : {}),
  })
  await files.unmark(report.jobId)
  return first
}

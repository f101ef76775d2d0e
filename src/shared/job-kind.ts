import type { JobSpec } from './job.ts'

/** What people call what is counted as a job's frames, and what the job makes of them. */
export const units = ['frames', 'images', 'rows'] as const
export const products = ['video', 'images', 'scores'] as const
export type JobKind = { unit: (typeof units)[number]; makes: (typeof products)[number] }

/** That of a job whose status was noted by a version that knew no other. */
export const videoKind: JobKind = { unit: 'frames', makes: 'video' }

export function kindOf({ request: { source, output } }: Pick<JobSpec, 'request'>): JobKind {
  return {
    unit: source.images ? 'images' : source.table ? 'rows' : 'frames',
    makes: output.scores ? 'scores' : source.images ? 'images' : 'video',
  }
}

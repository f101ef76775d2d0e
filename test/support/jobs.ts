import { randomUUID } from 'node:crypto'
import type { BlobStore } from '../../src/shared/blob-store.ts'
import type { Incident } from '../../src/shared/incident.ts'
import type { JobSpec, Report, VideoPlan } from '../../src/shared/job.ts'
import type { JobFiles } from '../../src/shared/job-files.ts'
import { layout } from '../../src/shared/layout.ts'
import { writeSegmentFacts } from '../../src/shared/segment-metadata.ts'

/** The documents of a job, for parts that need no video. */
export function specOf(id: string = randomUUID(), more: Partial<JobSpec> = {}): JobSpec {
  return {
    ...{ v: 1, id, createdAt: '2026-01-01T00:00:00.000Z', requestHash: '', client: 'me', hasSecret: false },
    request: {
      ...{ source: { url: 'https://a.example/in.mp4' }, model: 'm', output: {}, batch: {} },
      ...{ priority: 5, onError: 'fail', errorThreshold: 0 },
    },
    source: { url: 'https://a.example/in.mp4', kind: 'http', etag: '"1"', bytes: 1_000_000 },
    model: { name: 'm', version: '1', sha256: '' },
    ...more,
  }
}

/** A plan of batches of ten frames. */
export function planOf(jobId: string, batches: number): VideoPlan {
  return {
    ...{ v: 1, jobId, format: 'mp4', startSeconds: 0, audio: [], subtitles: [], warnings: [] },
    video: {
      ...{ index: 0, codec: 'h264', width: 16, height: 16, sampleAspect: [1, 1] },
      ...{ timeBase: [1, 25], frameRate: [25, 1], variable: false },
      colour: { range: null, space: null, transfer: null, primaries: null },
    },
    times: { first: 0, runs: [1, batches * 10 - 1] },
    keyframes: [0],
    frames: batches * 10,
    batches: Array.from({ length: batches }, () => 10),
    encoding: { container: 'mp4', codec: 'h264', crf: 20, preset: 'medium' },
  }
}

export function reportFor(spec: JobSpec, status: Report['status']): Report {
  return {
    ...{ v: 1, jobId: spec.id, status, createdAt: spec.createdAt, endedAt: new Date().toISOString() },
    ...{ seconds: 1, source: spec.source, model: spec.model, frames: 0, framesReplaced: [] },
    ...{ framesPassedThrough: [], fps: 0, batches: { planned: 0, failed: 0 }, ms: {}, warnings: [] },
    incidents: [],
    ...(status === 'failed' ? { error: { code: 'batch-failed', message: 'it failed' } } : {}),
  }
}

export async function commitSegment(media: BlobStore, jobId: string, batch: number): Promise<void> {
  const metadata = writeSegmentFacts({ frames: 10, replaced: [], through: [] })
  await media.write(layout.segment(jobId, batch), Buffer.from('segment'), { metadata })
}

/** An accepted job as Blob has it: spec, mark, and a plan of so many batches. */
export async function keepJob(files: JobFiles, spec: JobSpec, batches: number): Promise<void> {
  await files.keepSpec(spec)
  await files.markOpen(spec.id)
  if (batches > 0) await files.keepPlan(planOf(spec.id, batches))
}

/** One failure of one entry, as it is noted. */
export const someIncident = (): Incident => ({
  ...{ at: new Date().toISOString(), queue: 'batch', entry: 'e', class: 'unknown' },
  ...{ attempt: 0, worker: 'w', message: 'm' },
})

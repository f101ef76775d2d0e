import { setTimeout as wait } from 'node:timers/promises'
import progress from 'cli-progress'
import type { ApiClient, JobAnswer } from './api-client.ts'

const everyMs = 300
const ended = new Set(['succeeded', 'failed', 'cancelled'])

/**
 * Follows a job to its end: a progress bar on a terminal, a line for each change of state in a pipe, nothing when
 * quiet. All of it on standard error. `signal` stops the watching, not the job.
 */
export async function watchJob(
  api: ApiClient,
  id: string,
  options: { quiet: boolean; signal?: AbortSignal },
): Promise<JobAnswer> {
  const show = options.quiet ? silence : process.stderr.isTTY ? bar() : lines()
  try {
    for (;;) {
      const job = await api.job(id)
      show.update(job)
      // A cancelled job shows as cancelled at once, and is over when its workers let go; either will do here.
      if (ended.has(job.status)) return job
      await wait(everyMs, undefined, { signal: options.signal })
    }
  } finally {
    show.close()
  }
}

const silence = { update: (_job: JobAnswer) => {}, close: () => {} }

function bar() {
  const shown = new progress.SingleBar(
    {
      format: '{state} [{bar}] {value}/{total} frames  {rate}  {left}',
      hideCursor: true,
      stream: process.stderr,
    },
    progress.Presets.shades_classic,
  )
  let started = false
  return {
    update({ status, frames, fps, etaSeconds }: JobAnswer) {
      const total = frames.total ?? 0
      const fields = {
        state: status.padEnd(9),
        rate: fps === null ? '' : `${fps.toFixed(1)} fps`,
        left: etaSeconds === null ? '' : `${Math.ceil(etaSeconds)} s left`,
      }
      if (!started) shown.start(total || 1, frames.done, fields)
      started = true
      if (total) shown.setTotal(total)
      shown.update(frames.done, fields)
    },
    close: () => shown.stop(),
  }
}

function lines() {
  let last = ''
  return {
    update({ status, frames, fps }: JobAnswer) {
      const tenth = frames.total ? Math.floor((10 * frames.done) / frames.total) : 0
      const key = `${status} ${tenth}`
      if (key === last) return
      last = key
      const counts = frames.total ? ` ${frames.done}/${frames.total} frames` : ''
      process.stderr.write(`${status}${counts}${fps === null ? '' : ` at ${fps.toFixed(1)} fps`}\n`)
    },
    close: () => {},
  }
}

import type { Client, Job } from '../client/client.ts'
import { createBar } from './bar.ts'
import { tell, visible } from './output.ts'

/**
 * Follows a job to its end: a progress bar on a terminal, a line for each change of state in a pipe, nothing when
 * quiet. All of it on standard error. `signal` stops the watching, not the job.
 */
export async function watchJob(
  api: Client,
  id: string,
  options: { quiet: boolean; signal?: AbortSignal },
): Promise<Job> {
  const show = options.quiet ? silence : process.stderr.isTTY ? bar() : lines()
  try {
    return await api.waitFor(id, { onChange: show.update, signal: options.signal })
  } finally {
    show.close()
  }
}

const silence = { update: (_job: Job) => {}, close: () => {} }

function bar() {
  const shown = createBar('{state} [{bar}] {value}/{total} {unit}  {rate}  {left}', 55)
  let started = false
  return {
    update({ status, frames, fps, etaSeconds, unit }: Job) {
      const total = frames.total ?? 0
      const fields = {
        state: visible(status).padEnd(9),
        unit,
        rate: fps === null ? '' : rateOf(fps, unit),
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

const rateOf = (fps: number, unit: Job['unit']) =>
  unit === 'frames' ? `${fps.toFixed(1)} fps` : `${fps.toFixed(1)} ${unit}/s`

function lines() {
  let last = ''
  return {
    update({ status, frames, fps, unit }: Job) {
      const tenth = frames.total ? Math.floor((10 * frames.done) / frames.total) : 0
      const key = `${status} ${tenth}`
      if (key === last) return
      last = key
      const counts = frames.total ? ` ${frames.done}/${frames.total} ${unit}` : ''
      tell(`${status}${counts}${fps === null ? '' : ` at ${rateOf(fps, unit)}`}`)
    },
    close: () => {},
  }
}

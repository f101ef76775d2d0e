import type { Queue } from 'bullmq'
import { Gauge, type Registry } from 'prom-client'
import type { Backlog } from '../shared/backlog.ts'
import { type WorkerState, workerStates } from '../shared/fleet.ts'
import type { JobStatuses } from '../shared/job-status.ts'
import type { WorkerRegistry } from '../shared/worker-registry.ts'

/** Several may ask, and some of this goes over every open job. */
const freshMs = 5_000

const states = ['waiting', 'active', 'delayed', 'failed'] as const

export type QueueGaugesDeps = {
  queues: Record<'split' | 'batch' | 'stitch' | 'quarantine', Pick<Queue, 'getJobCounts'>>
  backlog: Pick<Backlog, 'left'>
  statuses: Pick<JobStatuses, 'waitingSince'>
  workers: Pick<WorkerRegistry, 'list'>
  /** Of one worker; 0 where nobody said. */
  hourPrice: number
}

type Reading = {
  queues: Record<string, Record<string, number>>
  oldestSeconds: number
  jobs: number
  frames: number
  workers: Record<WorkerState, number>
}

/**
 * What is true of the whole system, read from Redis when somebody asks: each producer says the same, so who adds things up
 * takes the highest, not the sum. While Redis is away these figures are missing, not old.
 */
export function createQueueGauges(registry: Registry, deps: QueueGaugesDeps): void {
  let known: { at: number; reading: Promise<Reading | undefined> } | undefined
  const read = async () => {
    if (!known || Date.now() - known.at > freshMs)
      known = { at: Date.now(), reading: readAll(deps).catch(() => undefined) }
    return await known.reading
  }

  function gauge(
    name: string,
    help: string,
    values: (reading: Reading) => [labels: Record<string, string>, value: number][],
    labelNames: string[] = [],
  ): void {
    const made = new Gauge({
      ...{ name, help, labelNames, registers: [registry] },
      async collect() {
        const reading = await read()
        made.reset()
        // Without labels it would show 0 now.
        if (!reading && labelNames.length === 0) made.remove()
        for (const [labels, value] of reading ? values(reading) : []) made.set(labels, value)
      },
    })
  }

  gauge(
    'framefleet_queue_entries',
    'Entries on each queue; the same from each producer',
    ({ queues }) =>
      Object.entries(queues).flatMap(([queue, counts]) =>
        states.map((state): [Record<string, string>, number] => [{ queue, state }, counts[state] ?? 0]),
      ),
    ['queue', 'state'],
  )
  gauge(
    'framefleet_oldest_batch_seconds',
    'How long the oldest batch has waited that nobody has begun; 0 where none waits. The same from each producer',
    ({ oldestSeconds }) => [[{}, oldestSeconds]],
  )
  gauge(
    'framefleet_quarantine_entries',
    'Records in quarantine; the same from each producer',
    ({ queues }) => [[{}, queues['quarantine']?.['waiting'] ?? 0]],
  )
  gauge('framefleet_open_jobs', 'Jobs that have not ended; the same from each producer', ({ jobs }) => [
    [{}, jobs],
  ])
  gauge(
    'framefleet_line_frames',
    'Frames of open jobs that are not committed yet, some thousand rows being one, partly guessed before a job is planned; the same from each producer',
    ({ frames }) => [[{}, frames]],
  )
  gauge(
    'framefleet_workers',
    'Workers that beat lately, by what they do; the same from each producer',
    ({ workers }) => Object.entries(workers).map(([state, count]) => [{ state }, count]),
    ['state'],
  )
  const price = new Gauge({
    name: 'framefleet_worker_hour_price',
    help: 'What an hour of one worker costs, as it was set; 0 where nobody said',
    registers: [registry],
  })
  price.set(deps.hourPrice)
}

async function readAll({ queues, backlog, statuses, workers }: QueueGaugesDeps): Promise<Reading> {
  const counting = Object.entries(queues).map(async ([name, queue]): Promise<[string, typeof counts]> => {
    const counts = await queue.getJobCounts('waiting', 'prioritized', ...states)
    return [name, { ...counts, waiting: (counts['waiting'] ?? 0) + (counts['prioritized'] ?? 0) }]
  })
  const [counts, left, present] = await Promise.all([Promise.all(counting), backlog.left(), workers.list()])
  const line = [...left.values()].flatMap((jobs) => [...jobs])
  const since = await statuses.waitingSince(line.map(([id]) => id))
  const oldest = since.reduce((least, at) => Math.min(least, at), Infinity)
  const doing = (state: WorkerState) => present.filter((worker) => worker.state === state).length
  return {
    queues: Object.fromEntries(counts),
    oldestSeconds: Number.isFinite(oldest) ? Math.max(0, (Date.now() - oldest) / 1_000) : 0,
    jobs: line.length,
    frames: line.reduce((sum, [, frames]) => sum + frames, 0),
    workers: Object.fromEntries(workerStates.map((state) => [state, doing(state)])) as Reading['workers'],
  }
}

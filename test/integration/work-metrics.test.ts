import { randomUUID } from 'node:crypto'
import { Worker } from 'bullmq'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { LostError, TransientError } from '../../src/shared/errors.ts'
import { createIncidents } from '../../src/shared/incidents.ts'
import { createWorkMetrics } from '../../src/shared/metrics.ts'
import { openQueue } from '../../src/shared/open-queue.ts'
import { observeWorker } from '../../src/shared/queue-worker.ts'
import { entryIds, workerOptions } from '../../src/shared/queues.ts'
import { processorOf } from '../../src/shared/workload.ts'
import { silent } from '../support/services.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

const services = useServices()
const open = closedAfterEach()

test('each attempt is counted once, by what became of it, and what was given back as well', async () => {
  const prefix = services.prefix()
  const connection = services.connect()
  const queue = openQueue('batch', { connection, prefix })
  const registry = new Registry()
  const metrics = createWorkMetrics(registry)
  let tries = 0
  const processor = processorOf(
    {
      queue: 'batch',
      onTerminalFailure: async () => {},
      async process({ count }) {
        tries += 1
        if (tries === 1) throw new LostError('told to leave')
        if (tries === 2) throw new TransientError('throttled')
        return { frames: count, replaced: [], through: [], ms: { fetch: 100, infer: 400, total: 600 } }
      },
    },
    { log: silent, incidents: createIncidents(connection, prefix), metrics },
  )
  const worker = new Worker('batch', async (job, token, signal) => await processor(job, token, signal), {
    ...workerOptions('batch'),
    ...{ connection, prefix },
    settings: { backoffStrategy: () => 1 },
  })
  open.push(queue, worker)
  observeWorker(worker, metrics, silent)
  const done = new Promise((resolve) => worker.once('completed', resolve))
  const jobId = randomUUID()
  await queue.add(
    'batch',
    { jobId, index: 0, first: 0, count: 12 },
    { jobId: entryIds.batch(jobId, 0), attempts: 20, backoff: { type: 'patient' } },
  )
  await done
  const told = (await registry.metrics()).split('\n')
  const counts = told.filter((line) =>
    /^framefleet_(?:work_total|frames_total|work_seconds_(?:count|sum))/.test(line),
  )
  expect(counts.map((line) => line.replace(/(phase="total"\}) .*/, '$1')).toSorted()).toEqual(
    [
      'framefleet_frames_total 12',
      'framefleet_work_seconds_count{queue="batch",phase="fetch"} 1',
      'framefleet_work_seconds_count{queue="batch",phase="infer"} 1',
      'framefleet_work_seconds_count{queue="batch",phase="total"}',
      'framefleet_work_seconds_sum{queue="batch",phase="fetch"} 0.1',
      'framefleet_work_seconds_sum{queue="batch",phase="infer"} 0.4',
      'framefleet_work_seconds_sum{queue="batch",phase="total"}',
      'framefleet_work_total{queue="batch",outcome="done"} 1',
      'framefleet_work_total{queue="batch",outcome="lost"} 1',
      'framefleet_work_total{queue="batch",outcome="transient"} 1',
    ].toSorted(),
  )
  expect(counts.find((line) => line.includes('_count') && line.includes('"total"'))).toMatch(/ 1$/)
})

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
import { startTracing } from '../../src/shared/tracing.ts'
import { processorOf } from '../../src/shared/workload.ts'
import { startCollector } from '../support/collector.ts'
import { silent } from '../support/services.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

const services = useServices()
const open = closedAfterEach()

test('each attempt is counted once, by what became of it, and what was given back as well; all are of one trace', async () => {
  const prefix = services.prefix()
  const connection = services.connect()
  const queue = openQueue('batch', { connection, prefix })
  const registry = new Registry()
  const metrics = createWorkMetrics(registry)
  let tries = 0
  const collector = await startCollector()
  open.push(collector)
  const tracing = await startTracing(
    'worker',
    {
      ...{ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, APPLICATIONINSIGHTS_CONNECTION_STRING: '' },
      FRAMEFLEET_TRACE_RATIO: 1,
    },
    silent,
  )
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
    { log: silent, incidents: createIncidents(connection, prefix), metrics, tracing },
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
    {
      jobId,
      index: 0,
      first: 0,
      count: 12,
      trace: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    },
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

  await tracing.close()
  const attempts = collector.spans.map(({ name, traceId, parent, failed, attributes }) => [
    ...[name, traceId, parent, failed],
    ...[attributes['framefleet.attempt'], attributes['framefleet.outcome']],
  ])
  const batch = ['batch', '0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331']
  expect(attempts).toEqual([
    [...batch, true, 1, 'lost'],
    [...batch, true, 1, 'transient'],
    [...batch, false, 2, 'done'],
  ])
})

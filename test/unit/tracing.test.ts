import { expect, test } from 'vitest'
import { queues } from '../../src/shared/queues.ts'
import {
  type Attributes,
  TraceParent,
  mostTracedBatches,
  startTracing,
  tellParts,
  traceOfBatch,
  untraced,
} from '../../src/shared/tracing.ts'
import { silent } from '../support/services.ts'

const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

test('however long a film is, so many of its batches are traced at most, from its beginning to its end', () => {
  for (const batches of [1, 7, 200, 201, 399, 400, 5_000, 20_000]) {
    const traced = Array.from({ length: batches }, (_, index) => index).filter(
      (index) => traceOfBatch(trace, index, batches).trace === trace,
    )
    expect(traced.length).toBeLessThanOrEqual(mostTracedBatches)
    expect(traced.length).toBeGreaterThanOrEqual(Math.min(batches, mostTracedBatches / 2))
    expect(batches - (traced.at(-1) ?? 0)).toBeLessThanOrEqual(Math.ceil(batches / mostTracedBatches))
  }
  expect(traceOfBatch(undefined, 0, 10)).toEqual({})
})

test('a payload may carry a trace, and nothing else in its place', () => {
  const jobId = 'aaaaaaaa-0000-4000-8000-000000000001'
  expect(queues.split.payload.safeParse({ jobId }).success).toBe(true)
  expect(queues.split.payload.safeParse({ jobId, trace }).success).toBe(true)
  for (const odd of ['', 'x'.repeat(55), `${trace}0`, trace.toUpperCase(), trace.replace(/1$/, '0')])
    expect(TraceParent.safeParse(odd).success).toBe(false)
})

test('parts that came one after the other end where their span ends', () => {
  const told: [string, number, number][] = []
  const span = {
    ...{ parent: trace, traceId: '', set: (_more: Attributes) => {} },
    part: (name: string, { from, to }: { from: number; to: number }) => void told.push([name, from, to]),
  }
  tellParts(span, { fetch: 30, join: 5, publish: 15 }, 1_000)
  expect(told).toEqual([
    ['fetch', 950, 980],
    ['join', 980, 985],
    ['publish', 985, 1_000],
  ])
})

test('where traces go nowhere none are made', async () => {
  const nowhere = {
    ...{ OTEL_EXPORTER_OTLP_ENDPOINT: '', APPLICATIONINSIGHTS_CONNECTION_STRING: '' },
    FRAMEFLEET_TRACE_RATIO: 1,
  }
  expect(await startTracing('worker', nowhere, silent)).toBe(untraced)
  expect(await untraced.root('a', {}, async (span) => span)).toBeUndefined()
})

test('a share of 0 traces nothing but what a caller wants traced; a collector that is away holds nobody up', async () => {
  const tracing = await startTracing(
    'worker',
    {
      ...{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', APPLICATIONINSIGHTS_CONNECTION_STRING: '' },
      FRAMEFLEET_TRACE_RATIO: 0,
    },
    silent,
  )
  expect(await tracing.root('a', {}, async (span) => span?.parent)).toBeUndefined()
  const wanted = await tracing.root('a', { parent: trace }, async (span) => span?.parent)
  expect(wanted).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/)
  expect(await tracing.child('b', {}, async (span) => span)).toBeUndefined()
  await expect(
    tracing.child('b', { parent: trace }, async () => await Promise.reject(new Error('broken'))),
  ).rejects.toThrow('broken')
  const began = performance.now()
  await tracing.close()
  expect(performance.now() - began).toBeLessThan(6_000)
})

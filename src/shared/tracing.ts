import { z } from 'zod'
import type { traceSettings } from './config.ts'
import type { Logger } from './log.ts'

/** Whose child a span is, as W3C writes it: version, trace, span, and 01 where it is kept. */
export const TraceParent = z.string().regex(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)

export type Attributes = Record<string, string | number | boolean | undefined>

/** A piece of work in somebody's trace. */
export type Span = {
  /** What goes along with further work of the same trace. */
  parent: string
  traceId: string
  set(attributes: Attributes): void
  /** A part of it that is over, by ms of the clock. */
  part(name: string, times: { from: number; to: number }, attributes?: Attributes): void
}

type SpanOptions = { parent?: string | undefined; attributes?: Attributes }

export type Tracing = {
  /** Does work in a new trace, or in that of `parent`; without a span where this one is not kept. */
  root<T>(name: string, options: SpanOptions, work: (span?: Span) => Promise<T>): Promise<T>
  /** Does work as a part of the trace it came with; without a span where it came with none. */
  child<T>(name: string, options: SpanOptions, work: (span?: Span) => Promise<T>): Promise<T>
  /** Sends what waits, for a few seconds at most. */
  close(): Promise<void>
}

/** No trace of anything, at no cost. */
export const untraced: Tracing = {
  root: async (_name, _options, work) => await work(),
  child: async (_name, _options, work) => await work(),
  close: async () => {},
}

export type TraceSettings = z.infer<z.ZodObject<typeof traceSettings>>

/** Traces as the settings say. What makes them is loaded only where they go anywhere. */
export async function startTracing(role: string, settings: TraceSettings, log: Logger): Promise<Tracing> {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: url, APPLICATIONINSIGHTS_CONNECTION_STRING: insights } = settings
  if (url === '' && insights === '') return untraced
  const { createTracing } = await import('./tracing-sdk.ts')
  return createTracing(role, settings, log)
}

/** Batches of one job that are traced: a film of many hours has twenty thousand. */
export const mostTracedBatches = 200

/** What a batch carries of its job's trace: every so many, so that there are no more than that. */
export function traceOfBatch(trace: string | undefined, index: number, batches: number): { trace?: string } {
  const every = Math.ceil(batches / mostTracedBatches)
  return trace !== undefined && index % every === 0 ? { trace } : {}
}

/** Parts that came one after the other and were over at `to`, by how long each took. */
export function tellParts(span: Span | undefined, ms: Record<string, number>, to: number): void {
  let from = to - Object.values(ms).reduce((sum, each) => sum + each, 0)
  for (const [name, took] of Object.entries(ms)) {
    span?.part(name, { from, to: from + took })
    from += took
  }
}

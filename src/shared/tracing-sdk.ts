import { setTimeout as pause } from 'node:timers/promises'
import { AzureMonitorTraceExporter } from '@azure/monitor-opentelemetry-exporter'
import { type Context, DiagLogLevel, ROOT_CONTEXT, SpanStatusCode, diag, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  BatchSpanProcessor,
  NodeTracerProvider,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-node'
import { azureCredential } from './identity.ts'
import type { Logger } from './log.ts'
import { redact } from './redact.ts'
import { sparingly } from './sparingly.ts'
import { type Attributes, type Span, type TraceSettings, TraceParent, type Tracing } from './tracing.ts'

/** What waits beyond is dropped: nobody waits for a collector. */
const batching = { maxQueueSize: 4_096, scheduledDelayMillis: 2_000, exportTimeoutMillis: 5_000 }
const closeMs = 3_000

/** Traces by OpenTelemetry, to a collector, to Application Insights, or both. Loaded only where they are wanted. */
export function createTracing(role: string, settings: TraceSettings, log: Logger): Tracing {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: url, APPLICATIONINSIGHTS_CONNECTION_STRING: insights } = settings
  const warn = sparingly<string>((text) => log.warn({ text: redact(text) }, 'traces are not taken'), {
    most: 1,
    everyMs: 60_000,
  })
  const quiet = { info() {}, debug() {}, verbose() {} }
  diag.setLogger({ ...quiet, warn, error: warn }, DiagLogLevel.WARN)
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({
      'service.name': `framefleet-${role}`,
      'service.namespace': 'framefleet',
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(settings.FRAMEFLEET_TRACE_RATIO) }),
    spanProcessors: [
      ...(url === '' ? [] : [new OTLPTraceExporter({ url: `${url.replace(/\/$/, '')}/v1/traces` })]),
      ...(insights === ''
        ? []
        : [
            new AzureMonitorTraceExporter({
              connectionString: insights,
              credential: azureCredential(),
              disableOfflineStorage: true,
            }),
          ]),
    ].map((exporter) => new BatchSpanProcessor(exporter, batching)),
  })
  const tracer = provider.getTracer('framefleet')

  async function within<T>(
    name: string,
    context: Context,
    attributes: Attributes,
    work: (span?: Span) => Promise<T>,
  ): Promise<T> {
    const span = tracer.startSpan(name, { attributes }, context)
    if (!span.isRecording()) return await work()
    const inside = trace.setSpan(context, span)
    const { traceId, spanId } = span.spanContext()
    try {
      return await work({
        ...{ traceId, parent: `00-${traceId}-${spanId}-01` },
        set: (more) => void span.setAttributes(more),
        part(part, { from, to }, more = {}) {
          tracer.startSpan(part, { startTime: from, attributes: more }, inside).end(to)
        },
      })
    } catch (thrown) {
      const message = redact(thrown instanceof Error ? thrown.message : String(thrown))
      span.setStatus({ code: SpanStatusCode.ERROR, message })
      throw thrown
    } finally {
      span.end()
    }
  }

  return {
    root: async (name, { parent, attributes = {} }, work) =>
      await within(name, contextOf(parent) ?? ROOT_CONTEXT, attributes, work),
    async child(name, { parent, attributes = {} }, work) {
      const context = contextOf(parent)
      return context ? await within(name, context, attributes, work) : await work()
    },
    async close() {
      await Promise.race([provider.shutdown().catch(() => {}), pause(closeMs, undefined, { ref: false })])
    },
  }
}

/** Nothing for what is no parent, or one that is not kept. */
function contextOf(parent: string | undefined): Context | undefined {
  const [, traceId, spanId] = TraceParent.safeParse(parent).data?.split('-') ?? []
  if (traceId === undefined || spanId === undefined) return undefined
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: 1, isRemote: true })
}

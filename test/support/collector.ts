import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

type Value = { stringValue?: string; intValue?: number; doubleValue?: number; boolValue?: boolean }
type Sent = {
  resourceSpans: {
    resource: { attributes: { key: string; value: Value }[] }
    scopeSpans: { spans: SentSpan[] }[]
  }[]
}
type SentSpan = {
  name: string
  traceId: string
  spanId: string
  parentSpanId?: string
  startTimeUnixNano: string
  endTimeUnixNano: string
  status: { code?: number; message?: string }
  attributes: { key: string; value: Value }[]
}

export type CollectedSpan = {
  name: string
  service: string
  traceId: string
  spanId: string
  parent: string | undefined
  /** Seconds. */
  from: number
  to: number
  failed: boolean
  attributes: Record<string, unknown>
}

/** What takes traces by OTLP over HTTP, as JSON, and keeps them. */
export async function startCollector() {
  const spans: CollectedSpan[] = []
  const server = createServer((request, answer) => {
    void json(request).then((body) => {
      if (request.url === '/v1/traces') spans.push(...spansOf(body as Sent))
      answer.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    async close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

const spansOf = ({ resourceSpans }: Sent): CollectedSpan[] =>
  resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        ...{ name: span.name, traceId: span.traceId, spanId: span.spanId },
        service: String(read(resource.attributes)['service.name']),
        parent: span.parentSpanId || undefined,
        from: Number(BigInt(span.startTimeUnixNano) / 1_000n) / 1e6,
        to: Number(BigInt(span.endTimeUnixNano) / 1_000n) / 1e6,
        failed: span.status.code === 2,
        attributes: read(span.attributes),
      })),
    ),
  )

const read = (attributes: { key: string; value: Value }[]) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

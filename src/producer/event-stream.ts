import type { ServerResponse } from 'node:http'

/** Beyond this, or where nothing is read for so long, somebody is let go, and comes again if it is still there. */
const mostPending = 200
const usual = { stallMs: 60_000, endMs: 10_000 }
const heartbeatMs = 15_000
/** Nobody is listened to by the same token for ever. */
const longestMs = 15 * 60_000

export type EventStream = {
  /** What is not sent yet under the same key gives way. */
  send(event: string, key: string, data: unknown): void
  end(): void
}

/**
 * Server-sent events over one answer. Where the other side reads slowly only the latest of each key is kept, so that memory is
 * bounded by how many there are.
 */
export function openEventStream(
  raw: ServerResponse,
  headers: Record<string, string>,
  onClose: () => void,
  /** How long nothing may be read, and how long it may take to read what is left at the end. */
  { stallMs, endMs }: { stallMs: number; endMs: number } = usual,
): EventStream {
  raw.writeHead(200, {
    ...headers,
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    // Proxies that gather answers would hold it back.
    'x-accel-buffering': 'no',
  })
  raw.flushHeaders()
  const pending = new Map<string, string>()
  const beat = setInterval(() => write('heartbeat', ':\n\n'), heartbeatMs)
  const limit = setTimeout(end, longestMs)
  let patience: NodeJS.Timeout | undefined
  raw.on('drain', flush)
  raw.once('close', () => {
    clearInterval(beat)
    clearTimeout(limit)
    clearTimeout(patience)
    pending.clear()
    onClose()
  })

  function write(key: string, text: string): void {
    if (!raw.writable) return
    pending.delete(key)
    if (!raw.writableNeedDrain) put(text)
    else if (pending.size >= mostPending) raw.destroy()
    else pending.set(key, text)
  }

  function put(text: string): void {
    if (!raw.write(text)) letGoIn(stallMs)
  }

  function letGoIn(ms: number): void {
    clearTimeout(patience)
    patience = setTimeout(() => raw.destroy(), ms)
  }

  function flush(): void {
    clearTimeout(patience)
    for (const [key, text] of pending) {
      if (raw.writableNeedDrain) return
      pending.delete(key)
      put(text)
    }
  }

  function end(): void {
    if (raw.writableEnded || raw.destroyed) return
    for (const text of pending.values()) raw.write(text)
    raw.end()
    letGoIn(endMs)
  }

  return {
    send: (event, key, data) => write(key, `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
    end,
  }
}

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  Agent,
  Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
  createServer,
  request as ask,
} from 'node:http'
import { type Server, type Socket, connect, createServer as createTcpServer } from 'node:net'
import { pipeline } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'

/**
 * A proxy that breaks what goes through it, in one of these ways at a time:
 *
 *   pass      nothing is done
 *   latency   an HTTP request, or what a TCP client sends, is held up for `ms`
 *   reset     RST to the client once `afterBytes` of bodies (TCP: of anything, both ways together) have passed
 *   stall     as `reset`, but then nothing comes any more, and the connection stays open
 *   hang      connections and requests are taken, and nothing passes until the mode changes
 *   refuse    nobody listens, and what was open is reset
 *   status    an HTTP request is answered with `status`, and does not reach the target
 *
 * `share` (0 to 1) of the requests, or TCP connections, are struck; which ones follows from the seed and their order.
 * A change of mode also holds for what is under way.
 */
export type FaultMode =
  | { kind: 'pass' | 'hang' | 'refuse' }
  | { kind: 'latency'; ms: number; share?: number }
  | { kind: 'reset' | 'stall'; afterBytes: number; share?: number }
  | { kind: 'status'; status: number; retryAfterSeconds?: number; share?: number }

export type FaultProxy = {
  port: number
  /** Resolves once the mode holds. */
  set(mode: FaultMode): Promise<void>
  /** How many requests, connections or pieces of them were really broken, since the start; refused ones are not seen. */
  struck(): number
  stop(): Promise<void>
}

type Options = { target: { host: string; port: number }; port?: number; http?: boolean; seed?: number }
/** A request, or a TCP connection, on its way. */
type Link = { fate: FaultMode; bytes: number; cut(): void; changed: PromiseWithResolvers<void> }

/** Starts a proxy on 127.0.0.1. With `http` each request has its own fate, else each connection. */
export async function startFaultProxy({
  target,
  port = 0,
  http = false,
  seed = 1,
}: Options): Promise<FaultProxy> {
  let mode: FaultMode = { kind: 'pass' }
  let drawn = 0
  let struck = 0
  const links = new Set<Link>()
  const agent = new Agent({ keepAlive: true })
  const server = http
    ? createServer((request, response) => void forward(request, response).catch(() => response.destroy()))
    : createTcpServer()
  if (!http) server.on('connection', tunnel)

  function draw(): FaultMode {
    const share = ('share' in mode ? mode.share : undefined) ?? 1
    if (share >= 1) return mode
    const dice = createHash('sha256').update(`${seed}:${drawn++}`).digest().readUInt32BE() / 2 ** 32
    return dice < share ? mode : { kind: 'pass' }
  }

  function open(cut: () => void): Link {
    const link = { fate: draw(), bytes: 0, cut, changed: Promise.withResolvers<void>() }
    links.add(link)
    return link
  }

  function strike<T>(fate: T): T {
    struck++
    return fate
  }

  /** Resolves when the link is not hanging, or no longer. */
  async function unhung(link: Link): Promise<void> {
    if (link.fate.kind === 'hang') struck++
    while (link.fate.kind === 'hang') await link.changed.promise
  }

  /** Lets bytes through as the link's fate is: a stage of a pipeline. */
  function meter(link: Link, slow = false) {
    return async function* (source: AsyncIterable<Buffer>) {
      for await (const chunk of source) {
        await unhung(link)
        if (slow && link.fate.kind === 'latency') await pause(strike(link.fate).ms)
        const { fate } = link
        const room = 'afterBytes' in fate ? Math.max(0, fate.afterBytes - link.bytes) : Infinity
        const passing = Math.min(room, chunk.length)
        link.bytes += passing
        if (passing > 0) yield chunk.subarray(0, passing)
        if (passing === chunk.length) continue
        struck++
        // A moment for what was let through to leave: a reset drops what is still here.
        if (fate.kind === 'reset') setImmediate(link.cut)
        await link.changed.promise
        yield chunk.subarray(passing)
      }
    }
  }

  function tunnel(client: Socket): void {
    const upstream = connect(target)
    const link = open(() => client.resetAndDestroy())
    const ended = () => {
      links.delete(link)
      upstream.destroy()
    }
    client.once('close', ended).on('error', () => {})
    upstream.on('error', () => {})
    pipeline(client, meter(link, true), upstream, () => {})
    pipeline(upstream, meter(link), client, () => {})
  }

  async function forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A request that is over has no socket any more.
    const { socket } = request
    const link = open(() => socket.resetAndDestroy())
    response.once('close', () => links.delete(link))
    await unhung(link)
    if (link.fate.kind === 'latency') await pause(strike(link.fate).ms)
    if (response.destroyed) return
    if (link.fate.kind === 'status') {
      const { status, retryAfterSeconds } = strike(link.fate)
      // The whole request is taken first, as a server does.
      request.resume()
      await once(request, 'end')
      if (retryAfterSeconds !== undefined) response.setHeader('retry-after', retryAfterSeconds)
      response.writeHead(status, { 'x-ms-error-code': 'ServerBusy', 'content-length': 0 }).end()
      return
    }
    const { method, url: path, headers } = request
    const upstream = ask({ ...target, method, path, headers, agent })
    const broken = (error: unknown) => void (error && link.cut())
    upstream.once('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders).flushHeaders()
      pipeline(answer, meter(link), response, broken)
    })
    upstream.on('error', broken)
    response.once('close', () => upstream.destroy())
    pipeline(request, meter(link), upstream, broken)
  }

  async function shut(): Promise<void> {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    for (const link of links) strike(link).cut()
    if (server instanceof HttpServer) server.closeAllConnections()
    await closed
  }

  const bound = await listen(server, port)
  return {
    port: bound,
    async set(next) {
      mode = next
      if (next.kind === 'refuse') return await shut()
      for (const link of links) {
        const { changed } = link
        Object.assign(link, { fate: draw(), bytes: 0, changed: Promise.withResolvers<void>() })
        changed.resolve()
      }
      if (!server.listening) await listen(server, bound)
    },
    struck: () => struck,
    async stop() {
      await shut()
      agent.destroy()
    },
  }
}

async function listen(server: Server, port: number): Promise<number> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as { port: number }).port
}

import { once } from 'node:events'
import { Agent, type IncomingMessage, type ServerResponse, createServer, request as ask } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'

type Wanted = (request: IncomingMessage) => boolean

/** An HTTP relay that counts what goes through it, loses answers, and dies when it is told to. */
export async function startRelay() {
  const agent = new Agent({ keepAlive: true })
  const sockets = new Set<Socket>()
  let target = new URL('http://127.0.0.1:9')
  let dying: { wanted: Wanted; left: number } | undefined
  let losing: { wanted: Wanted; left: number } | undefined
  let bytes: { wanted: Wanted; seen: number } | undefined

  const underWay = new Set<Promise<void>>()

  const server = createServer((request, response) => {
    const done: Promise<void> = forward(request, response)
      .catch(() => void response.destroy())
      .finally(() => underWay.delete(done))
    underWay.add(done)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  async function forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, headers, url } = request
    const onward = ask({ agent, host: target.hostname, port: target.port, method, headers, path: url })
    const counted = bytes?.wanted(request) ? bytes : undefined
    request.on('data', (chunk: Buffer) => counted && (counted.seen += chunk.length))
    const answering = once(onward, 'response') as Promise<[IncomingMessage]>
    const [[answer]] = await Promise.all([answering, pipeline(request, onward)])
    if (losing?.wanted(request) && losing.left-- > 0) {
      response.destroy()
      return
    }
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    await pipeline(answer, response)
    if (dying?.wanted(request) && --dying.left === 0) {
      server.close()
      for (const socket of sockets) socket.destroy()
    }
  }

  return {
    url: `http://127.0.0.1:${port}`,
    to: (url: string) => void (target = new URL(url)),
    /** Goes away once so many of these were answered. */
    dieAfter: (left: number, wanted: Wanted) => void (dying = { wanted, left }),
    /** Comes back, once what had got through has been answered at the other end. */
    async revive(): Promise<void> {
      dying = undefined
      await Promise.all(underWay)
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
    },
    /** So many of these are done, and nobody hears of it. */
    loseAnswers: (left: number, wanted: Wanted) => void (losing = { wanted, left }),
    /** Counts the bodies of these from now on; answers how many bytes there were. */
    count(wanted: Wanted): () => number {
      const counting = (bytes = { wanted, seen: 0 })
      return () => counting.seen
    },
    async close(): Promise<void> {
      server.close()
      server.closeAllConnections()
      agent.destroy()
    },
  }
}

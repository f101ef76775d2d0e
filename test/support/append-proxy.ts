import { once } from 'node:events'
import { type IncomingMessage, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type BlobStore, connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'

/** Told of an answer to an append that is about to go back; where it takes it for its own, by `true`, nothing goes back. */
type Keeps = (answer: IncomingMessage, from: IncomingMessage) => boolean

/** A container reached by way of a proxy that may keep what storage answers to appends: they are done, and nobody hears of it. */
export async function throughAppendProxy(account: string, store: Pick<BlobStore, 'url'>, keeps: Keeps) {
  const target = new URL(/BlobEndpoint=([^;]+)/.exec(account)?.[1] ?? '')
  const server = createServer((from, to) => {
    const { url: path, method, headers } = from
    const onward = request({ host: target.hostname, port: target.port, path, method, headers }, (answer) => {
      if (path?.includes('comp=appendblock') && keeps(answer, from)) return
      to.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(to)
    })
    from.pipe(onward)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const by = account.replace(/BlobEndpoint=http:\/\/[^/]+/, `BlobEndpoint=http://127.0.0.1:${port}`)
  const container = new URL(store.url('')).pathname.split('/').at(-1) ?? ''
  return {
    through: createBlobStore(connectAccount(by), container),
    close: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

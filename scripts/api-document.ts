// The API's OpenAPI document, by the server's own routes; nothing it needs to answer requests is there.
import { createServer } from '../src/producer/server.ts'
import { createLogger } from '../src/shared/log.ts'

type Deps = Parameters<typeof createServer>[0]

/** Stands where a service would: routes are declared without being called. */
const absent: object = new Proxy(() => absent, {
  get(_, name) {
    if (name === Symbol.toPrimitive) return () => 'http://absent.invalid/'
    return name === 'then' || typeof name === 'symbol' ? undefined : absent
  },
})

export async function readApiDocument(): Promise<object> {
  const given: Partial<Deps> = {
    log: createLogger('producer', 'silent'),
    tokens: ['a-token-that-nobody-has'],
    maxRequestsPerSecond: 1,
    boardQueues: [],
  }
  const deps = new Proxy(given, { get: (own, name) => Reflect.get(own, name) ?? absent }) as Deps
  const app = await createServer(deps)
  await app.ready()
  const document = app.swagger()
  await app.close()
  return document
}

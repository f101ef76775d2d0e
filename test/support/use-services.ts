import { afterAll, afterEach, beforeAll } from 'vitest'
import { type TestServices, startServices } from './services.ts'

/** A Redis and an Azurite for all tests of a file: started before the first, stopped after the last. */
export function useServices(): Omit<TestServices, 'stop'> {
  let started: TestServices | undefined
  beforeAll(async () => {
    started = await startServices()
  })
  afterAll(async () => await started?.stop())
  const there = () => {
    if (!started) throw new Error('the services are there within tests only')
    return started
  }
  return {
    get dir() {
      return there().dir
    },
    get redisUrl() {
      return there().redisUrl
    },
    get mediaAccount() {
      return there().mediaAccount
    },
    connect: (name) => there().connect(name),
    prefix: () => there().prefix(),
    container: async () => await there().container(),
  }
}

/** What a test opens and puts here is closed after it, the last one first. */
export function closedAfterEach(): { close(): Promise<unknown> }[] {
  const open: { close(): Promise<unknown> }[] = []
  afterEach(async () => {
    for (const each of open.splice(0).toReversed()) await each.close()
  })
  return open
}

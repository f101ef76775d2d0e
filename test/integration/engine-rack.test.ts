import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { createFileCache } from '../../src/shared/file-cache.ts'
import { builtinModels } from '../../src/shared/models/builtin.ts'
import { createModelStore } from '../../src/shared/models/model-store.ts'
import { createEngineRack } from '../../src/worker/engine-rack.ts'
import { specOf } from '../support/jobs.ts'
import { tempDir } from '../support/temp-dir.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()
const dir = tempDir()

test('of small pictures eight sizes stay loaded, of large ones two', async () => {
  const media = await services.container()
  const models = createModelStore(media)
  const built = builtinModels().find(({ manifest }) => manifest.name === 'passthrough')
  if (!built) throw new Error('there is no passthrough')
  const { name, version, sha256 } = await models.put(built.manifest, built.bytes)
  const loaded: string[] = []
  const log = pino({}, { write: (line: string) => void loaded.push(line) })
  const cache = createFileCache({ dir: join(dir, 'cache'), maxBytes: 1e9 })
  const wish = { device: 'cpu', deviceId: 0, threads: 1 } as const
  const rack = createEngineRack({ models, media, cache, log, wish })
  mkdirSync(join(dir, 'own'))
  const spec = { ...specOf('rack-0001'), model: { name, version, sha256 } }
  /** How many of these are loaded anew, used one after the other. */
  const loads = async (sizes: { width: number; height: number }[]) => {
    loaded.length = 0
    for (const size of sizes) {
      await using _ = await rack.open(spec, size, { dir: join(dir, 'own'), onScoring() {}, small: true })
    }
    return loaded.length
  }
  const small = Array.from({ length: 8 }, (_, i) => ({ width: 100 + i, height: 60 }))
  expect(await loads(small)).toBe(8)
  expect(await loads(small)).toBe(0)
  const large = [1, 2, 3].map((i) => ({ width: 1_600 + i, height: 1_000 }))
  expect(await loads(large)).toBe(3)
  // The first of them has made room for the third.
  expect(await loads(large.slice(1))).toBe(0)
  expect(await loads(large.slice(0, 1))).toBe(1)
})

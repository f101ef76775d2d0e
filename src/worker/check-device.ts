import { builtinModels } from '../shared/models/builtin.ts'
import type { DeviceWish } from '../shared/models/device.ts'
import { wrapModel } from '../shared/models/wrap.ts'
import { startEngine } from './engine.ts'

const frame = { width: 64, height: 64 }

/** Scores a small black frame with the pass-through model. Throws what the runtime throws where not even that works. */
export async function checkDevice(wish: DeviceWish): Promise<void> {
  const model = builtinModels().find(({ manifest }) => manifest.name === 'passthrough')
  if (!model) throw new Error('there is no pass-through model')
  const engine = await startEngine({
    model: wrapModel(model.bytes, model.manifest, { ...frame, batch: 1 }),
    modelName: model.manifest.name,
    slots: () => 1,
    ...{ frame, group: 1, wish: { ...wish, threads: 1 } },
  })
  try {
    await using ring = await engine.openRing(() => {})
    await ring.run(0)
  } finally {
    await engine.close()
  }
}

import { readFile, readdir } from 'node:fs/promises'
import { builtinModels } from './builtin.ts'
import { type ModelManifest, parseManifest } from './manifest.ts'

/** `picture`: what it does, as a JPEG. */
export type ShippedModel = { manifest: ModelManifest; bytes: Uint8Array; picture?: Buffer }

/** The folder of trained models beside the code: `<name>/<version>/{model.onnx, model.json, card.md}`. */
const folder = new URL('../../../models/', import.meta.url)

/** Every model that comes with framefleet: the trained ones, and those written by code. */
export async function shippedModels(): Promise<ShippedModel[]> {
  const entries = await readdir(folder, { recursive: true }).catch(() => [] as string[])
  const manifests = entries.filter((entry) => /^[^/]+\/[^/]+\/model\.json$/.test(entry)).toSorted()
  const trained = await Promise.all(manifests.map(async (entry) => await readModel(new URL(entry, folder))))
  return await Promise.all(
    [...trained, ...builtinModels()].map(async (model) => {
      const { name, version } = model.manifest
      const picture = await readFile(new URL(`${name}/${version}/picture.jpg`, folder)).catch(() => undefined)
      return { ...model, ...(picture ? { picture } : {}) }
    }),
  )
}

async function readModel(manifest: URL): Promise<ShippedModel> {
  const [json, bytes] = await Promise.all([
    readFile(manifest, 'utf8'),
    readFile(new URL('model.onnx', manifest)),
  ])
  return { manifest: parseManifest(JSON.parse(json), manifest.pathname), bytes }
}

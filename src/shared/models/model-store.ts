import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LRUCache } from 'lru-cache'
import type { BlobStore } from '../blob-store.ts'
import { InputError } from '../errors.ts'
import type { FileCache } from '../file-cache.ts'
import { layout } from '../layout.ts'
import { type ModelManifest, parseManifest } from './manifest.ts'

export type ModelRef = { name: string; version: string; sha256: string }
export type StoredModel = ModelManifest & { sha256: string }

export type ModelStore = ReturnType<typeof createModelStore>

const modelName = /^[a-z0-9][a-z0-9-]{0,62}$/

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** The models of the system account: `models/<name>/<version>/{model.onnx, model.json}`. A version never changes. */
export function createModelStore(system: BlobStore) {
  // A version never changes once it is there.
  const manifests = new LRUCache<string, StoredModel>({ max: 1_000, ttl: 60_000 })

  async function manifest(name: string, version: string): Promise<StoredModel | undefined> {
    const kept = manifests.get(`${name}@${version}`)
    if (kept) return kept
    const bytes = await system.read(layout.manifest(name, version))
    if (!bytes) return undefined
    const where = layout.manifest(name, version)
    const read = parseManifest(JSON.parse(bytes.toString('utf8')), where)
    if (!read.sha256) throw new InputError('bad-manifest', `${where} has no sha256; add the model again.`)
    const stored = { ...read, sha256: read.sha256 }
    manifests.set(`${name}@${version}`, stored)
    return stored
  }

  /** Of all models, or of one. */
  async function versions(of?: string): Promise<{ name: string; version: string }[]> {
    const found = []
    for await (const { name } of system.list(of === undefined ? 'models/' : `models/${of}/`)) {
      const match = /^models\/([^/]+)\/([^/]+)\/model\.json$/.exec(name)
      if (match) found.push({ name: match[1] as string, version: match[2] as string })
    }
    return found.sort((a, b) => a.name.localeCompare(b.name) || compareVersions(b.version, a.version))
  }

  /** `name` (its newest version) or `name@version`; undefined where there is none. */
  async function find(ref: string): Promise<StoredModel | undefined> {
    const [name = '', version] = ref.split('@')
    // Such a name would list others, or lead elsewhere.
    if (!modelName.test(name)) return undefined
    // Asked with every job: there may be a thousand other models.
    const newest = version ?? (await versions(name))[0]?.version
    return newest === undefined ? undefined : await manifest(name, newest)
  }

  return {
    /** Every version of every model, newest first within a name. */
    async list(): Promise<StoredModel[]> {
      const all = await Promise.all((await versions()).map(({ name, version }) => manifest(name, version)))
      return all.filter((model) => model !== undefined)
    },
    find,
    /** Finds `name` (its newest version) or `name@version`; throws InputError naming what there is. */
    async resolve(ref: string): Promise<StoredModel> {
      const found = await find(ref)
      if (found) return found
      const known = await versions()
      const names = [...new Set(known.map((entry) => entry.name))].join(', ') || 'none'
      throw new InputError('unknown-model', `There is no model ${ref}. Known: ${names}.`)
    },
    /** Stores a version, with the style image that is its own and a picture of what it does, once; another model under the same name and version is refused. */
    async put(
      model: ModelManifest,
      bytes: Uint8Array,
      style?: Buffer,
      picture?: Buffer,
    ): Promise<StoredModel> {
      const stored = describe(model, bytes, style)
      if (model.sha256 && model.sha256 !== stored.sha256) {
        throw new InputError(
          'model-sha256',
          `The model ${model.name} is not the one its manifest names (sha256 differs).`,
        )
      }
      const there = await manifest(model.name, model.version)
      if (there && meaning(there) !== meaning(stored)) {
        throw new InputError(
          'model-exists',
          `${model.name}@${model.version} is another model already, or the same one with another manifest; give a new version.`,
        )
      }
      // The manifest is written last: a version can be seen only once it is whole.
      if (!there) {
        await system.write(layout.model(model.name, model.version), Buffer.from(bytes))
        if (style) await system.write(layout.modelStyle(model.name, model.version), style)
        await system.writeJson(layout.manifest(model.name, model.version), stored)
      }
      if (picture)
        await system.write(layout.modelPicture(model.name, model.version), picture, { ifAbsent: true })
      return stored
    },
    /** What a model does, as a JPEG; undefined where nobody drew it. */
    async picture({ name, version }: Pick<ModelRef, 'name' | 'version'>): Promise<Buffer | undefined> {
      return await system.read(layout.modelPicture(name, version))
    },
    /** The style image that comes with a model, as a PNG. */
    async style({ name, version, style }: StoredModel): Promise<Buffer> {
      const png = await system.read(layout.modelStyle(name, version))
      if (png && sha256(png) === style?.image) return png
      throw new InputError('model-sha256', `The style image of ${name}@${version} is gone or changed.`)
    },
    /** Reads a model through this machine's cache; a file that is not what was accepted is refused. */
    async fetch(
      ref: ModelRef,
      cache: FileCache,
      dir: string,
    ): Promise<{ manifest: StoredModel; bytes: Uint8Array }> {
      const described = await manifest(ref.name, ref.version)
      if (described?.sha256 !== ref.sha256) {
        throw new InputError(
          'model-sha256',
          `The model ${ref.name}@${ref.version} is gone or changed since the job was accepted.`,
        )
      }
      const path = join(dir, `${ref.sha256}.onnx`)
      await cache.take(`model ${ref.sha256}`, path, async (to) => {
        await system.download(layout.model(ref.name, ref.version), to)
      })
      const bytes = await readFile(path)
      if (sha256(bytes) !== ref.sha256) {
        throw new InputError(
          'model-sha256',
          `The model ${ref.name}@${ref.version} does not match its sha256.`,
        )
      }
      return { manifest: described, bytes }
    },
  }
}

/** What makes two models another one; titles and descriptions don't. */
const meaning = ({ sha256, input, output, style, size, scores }: StoredModel) =>
  JSON.stringify([sha256, input, output, style, size, scores])

function describe(model: ModelManifest, bytes: Uint8Array, style: Buffer | undefined): StoredModel {
  const described = { ...model, sha256: sha256(bytes) }
  if (!style) return described
  if (!model.style) throw new InputError('no-style', `The model ${model.name} takes no style image.`)
  return { ...described, style: { ...model.style, image: sha256(style) } }
}

/** Compares versions by their numbers, so that 10 comes after 9. */
function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}

import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type BlobStore, connectAccount, createBlobStore } from '../shared/blob-store.ts'
import { InputError } from '../shared/errors.ts'
import { layout } from '../shared/layout.ts'
import { inferManifest, inspectModel } from '../shared/models/inspect.ts'
import { type ModelManifest, parseManifest } from '../shared/models/manifest.ts'
import { createModelStore, sha256 } from '../shared/models/model-store.ts'
import type { ApiClient } from './api-client.ts'

/** Puts a local video into the media account and answers its URL. The same file is uploaded once. */
export async function uploadVideo(media: BlobStore, path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined)
  if (!found?.isFile()) throw new InputError('no-file', `There is no file ${path}.`)
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  const name = layout.upload(`${hash.digest('hex').slice(0, 16)}/${basename(path)}`)
  if ((await media.head(name))?.bytes !== found.size) await media.uploadFile(name, path)
  return media.url(name)
}

/** Stores a model file under a name and version of its own, which is what a job names. */
export async function uploadModel(
  env: NodeJS.ProcessEnv,
  path: string,
  manifestPath?: string,
): Promise<string> {
  const bytes = await readFile(path).catch(() => {
    throw new InputError('no-file', `There is no model file ${path}.`)
  })
  const manifest = await manifestFor(path, bytes, manifestPath)
  const system = createBlobStore(
    connectAccount(env['FRAMEFLEET_SYSTEM_ACCOUNT'] ?? ''),
    env['FRAMEFLEET_SYSTEM_CONTAINER'] ?? 'system',
  )
  await system.ensureContainer()
  const stored = await createModelStore(system).put(manifest, bytes)
  return `${stored.name}@${stored.version}`
}

/** The manifest beside a model (`NAME.json` or `model.json`), or what can be told from the graph alone. */
async function manifestFor(path: string, bytes: Uint8Array, given?: string): Promise<ModelManifest> {
  const name =
    basename(path)
      .replace(/\.onnx$/i, '')
      .toLowerCase()
      .replaceAll(/[^a-z0-9-]+/g, '-')
      .replace(/^-+/, '') || 'model'
  const version = sha256(bytes).slice(0, 12)
  const candidates = given ? [given] : [path.replace(/\.onnx$/i, '.json'), join(dirname(path), 'model.json')]
  for (const candidate of candidates) {
    const text = await readFile(candidate, 'utf8').catch(() => undefined)
    if (text === undefined) continue
    return parseManifest({ name, version, ...parseJson(text, candidate) }, candidate)
  }
  if (given) throw new InputError('no-file', `There is no manifest ${given}.`)
  return { ...inferManifest(inspectModel(bytes), name), version }
}

function parseJson(text: string, where: string): object {
  try {
    return JSON.parse(text) as object
  } catch {
    throw new InputError('bad-manifest', `${where} is not JSON.`)
  }
}

export async function saveDownload(
  api: ApiClient,
  id: string,
  what: 'output' | 'preview',
  path: string,
): Promise<void> {
  const body = await api.download(id, what)
  if (!body) throw new Error(`the ${what} of job ${id} came without a body`)
  await pipeline(Readable.fromWeb(body as never), createWriteStream(path))
}

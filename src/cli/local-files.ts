import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { type BlobStore, connectAccount, createBlobStore } from '../shared/blob-store.ts'
import { layout } from '../shared/layout.ts'
import { createModelStore } from '../shared/models/model-store.ts'
import { mustBeFile } from './given-file.ts'
import type { ModelFile } from './model-file.ts'

/** Puts a local video into the media account and answers its URL. The same file is uploaded once. */
export async function uploadVideo(media: BlobStore, path: string): Promise<string> {
  await mustBeFile(path)
  const { size } = await stat(path)
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  const name = layout.upload(`${hash.digest('hex').slice(0, 16)}/${basename(path)}`)
  if ((await media.head(name))?.bytes !== size) await media.uploadFile(name, path)
  return media.url(name)
}

/** Stores a model under its name and version, and answers what a job calls it. */
export async function uploadModel(
  account: { systemAccount?: string; systemContainer: string },
  { manifest, bytes, style, picture }: Pick<ModelFile, 'manifest' | 'bytes' | 'style' | 'picture'>,
): Promise<string> {
  if (!account.systemAccount) throw new Error('to add a model set FRAMEFLEET_SYSTEM_ACCOUNT')
  const system = createBlobStore(connectAccount(account.systemAccount), account.systemContainer)
  await system.ensureContainer()
  const stored = await createModelStore(system).put(manifest, bytes, style, picture)
  return `${stored.name}@${stored.version}`
}

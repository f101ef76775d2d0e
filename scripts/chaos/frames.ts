import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BlobStore } from '../../src/shared/blob-store.ts'
import { readLines } from '../../src/shared/media/ffmpeg.ts'
import type { Order } from './orders.ts'
import type { World } from './world.ts'

/** What a job's output is when nothing goes wrong. */
type Reference = { sha256: string; frames: string[] }

export type References = Map<Order, Reference>

/** Scores each order once, with nothing to disturb it. Throws when one doesn't end as it must. */
export async function takeReferences({ customers, orders, media, dir }: World): Promise<References> {
  const references: References = new Map()
  const asked = [...orders.plain, ...orders.poison].map((order) => customers.ask(order))
  await Promise.all(asked.map(({ done }) => done))
  for (const { ticket } of asked) {
    const { order, id = '', status, error, refused } = ticket
    if (status !== order.ends) {
      throw new Error(
        `without any fault "${order.name}" ${status ?? 'was not accepted'}, not ${order.ends}: ${error?.message ?? refused}`,
      )
    }
    if (order.ends !== 'succeeded') continue
    references.set(order, await referenceOf({ media, dir }, id))
  }
  return references
}

type Place = Pick<World, 'media' | 'dir'>

/** The output of a job, as others are compared with it. */
export async function referenceOf({ media, dir }: Place, id: string): Promise<Reference> {
  const name = await outputOf(media, id)
  return { sha256: await sha256Of(media, name), frames: await frameHashes(media, name, dir) }
}

/** How many frames of a job's output are not those of the reference, or not at their time. */
export async function countDifferences(
  { media, dir }: Place,
  id: string,
  { sha256, frames }: Reference,
): Promise<number> {
  const name = await outputOf(media, id)
  // The same bytes hold the same frames.
  if ((await sha256Of(media, name)) === sha256) return 0
  const found = await frameHashes(media, name, dir)
  const most = Math.max(found.length, frames.length)
  return Array.from({ length: most }).filter((_, i) => found[i] !== frames[i]).length
}

async function outputOf(media: BlobStore, id: string): Promise<string> {
  for await (const { name } of media.list(`jobs/${id}/output.`)) return name
  throw new Error(`job ${id} succeeded but has no output`)
}

async function sha256Of(media: BlobStore, name: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of (await media.openRead(name)) ?? []) hash.update(chunk)
  return hash.digest('hex')
}

/** A line for each frame as it is decoded: its time, its size, and the hash of its pixels. */
async function frameHashes(media: BlobStore, name: string, dir: string): Promise<string[]> {
  const path = join(dir, 'compared')
  await media.download(name, path)
  const args = ['-nostdin', '-v', 'error', '-i', path, '-map', '0:V:0', '-fps_mode', 'passthrough']
  const lines: string[] = []
  for await (const line of readLines('ffmpeg', [...args, '-f', 'framemd5', '-'])) {
    if (!line.startsWith('#') || line.startsWith('#tb')) lines.push(line)
  }
  await rm(path)
  return lines
}

import { open } from 'node:fs/promises'
import { basename, join } from 'node:path'
import pMap from 'p-map'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError } from '../shared/errors.ts'
import { layout } from '../shared/layout.ts'

type Fetching = {
  /** Of each segment: no more of it is taken. */
  bytes: number[]
  dir: string
  signal: AbortSignal
}

/**
 * Downloads the segments of a job; answers their files, in order. Throws InputError `bad-segment` for one that is no MP4: ffmpeg
 * would take a list or a playlist for what it says, and open the files it names.
 */
export async function fetchSegments(
  media: Pick<BlobStore, 'download'>,
  jobId: string,
  { bytes, dir, signal }: Fetching,
): Promise<string[]> {
  const fetch = async (most: number, index: number) => {
    const name = layout.segment(jobId, index)
    const path = join(dir, basename(name))
    await media.download(name, path, { most, signal })
    if (await isMp4(path)) return path
    throw new InputError('bad-segment', `Segment ${index} of job ${jobId} is no MP4.`)
  }
  return await pMap(bytes, fetch, { concurrency: 8 })
}

/** By its first box, which our encoder writes first: eight bytes, where a probe of each of thousands would take minutes. */
async function isMp4(path: string): Promise<boolean> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0)
  return bytesRead === 8 && buffer.toString('latin1', 4) === 'ftyp'
}

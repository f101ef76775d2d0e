import { join } from 'node:path'
import { batchStarts, timesAt } from '../shared/frame-times.ts'
import { blankImage, openImage } from '../shared/image.ts'
import type { Plan } from '../shared/job.ts'
import { type MediaInput, runFfmpeg } from '../shared/media/ffmpeg.ts'
import { readRange } from '../shared/media/frame-range.ts'

const columns = 4
const width = 320
/** Of the single frames: enough for a page, and a hundred kilobytes or so. */
const singleWidth = 960
const gap = 4

type PreviewFiles = {
  source: string
  /** One file for each batch. */
  segments: string[]
  dir: string
  signal: AbortSignal
}

/** A frame, and the JPEG files of it and of what became of it. */
export type ShownFrame = { frame: number; before: string; after: string }

/** A sheet of a few source frames above what became of them, as a JPEG file, and the same frames one by one. */
export async function makePreview(
  plan: Plan,
  { source, segments, dir, signal }: PreviewFiles,
): Promise<{ sheet: string; shown: ShownFrame[] }> {
  const frames = framesToShow(plan)
  const [before, after] = await Promise.all([
    pictures(
      frames.map((frame) => {
        const { options, filter } = readRange(plan, { first: frame, count: 1 })
        return { path: source, options, filter: `${filter},` }
      }),
      { dir, name: 'before', signal },
    ),
    pictures(
      frames.map((frame) => ({ ...placeInSegments(plan, segments, frame), filter: '' })),
      { dir, name: 'after', signal },
    ),
  ])
  const { height } = await openImage(after[0] ?? '').metadata()
  const sheet = blankImage(frames.length * (width + gap) - gap, height * 2 + gap, '#111111')
  const tiles = await Promise.all(
    [before, after].flatMap((row, y) =>
      row.map(async (file, x) => ({
        input: await openImage(file).resize(width, height, { fit: 'fill' }).toBuffer(),
        left: x * (width + gap),
        top: y * (height + gap),
      })),
    ),
  )
  const path = join(dir, 'preview.jpg')
  await sheet.composite(tiles).jpeg({ quality: 85 }).toFile(path)
  const shown = await Promise.all(
    frames.map(async (frame, i) => ({
      frame,
      before: await toJpeg(before[i] ?? ''),
      after: await toJpeg(after[i] ?? ''),
    })),
  )
  return { sheet: path, shown }
}

async function toJpeg(png: string): Promise<string> {
  const path = png.replace(/png$/, 'jpg')
  await openImage(png).jpeg({ quality: 82 }).toFile(path)
  return path
}

/**
 * Up to four frames, one from each quarter: where decoding can start near by, in the source and in the output, since to show
 * a frame all those since the last keyframe have to be decoded.
 */
export function framesToShow({
  frames,
  batches,
  keyframes,
}: Pick<Plan, 'frames' | 'batches' | 'keyframes'>): number[] {
  const shown = Math.min(columns, frames)
  // A segment begins with a keyframe.
  const starts = batchStarts(batches)
  const since = (from: number[], frame: number) => frame - (from.findLast((start) => start <= frame) ?? 0)
  const toDecode = (frame: number) => since(starts, frame) + since(keyframes ?? [], frame)
  const cheap = [...starts, ...(keyframes ?? [])]
  return Array.from({ length: shown }, (_, i) => {
    const [from, to] = [Math.floor((i * frames) / shown), Math.floor(((i + 1) * frames) / shown)]
    const middle = (from + to) >> 1
    const near = [middle, ...cheap.filter((frame) => frame >= from && frame < to)]
    return near.reduce((best, frame) => (toDecode(frame) < toDecode(best) ? frame : best))
  })
}

type Shot = MediaInput & { filter: string }

/** The first picture of each input, none wider than a page, as files: by one process for them all. */
async function pictures(
  shots: Shot[],
  { dir, name, signal }: { dir: string; name: string; signal: AbortSignal },
): Promise<string[]> {
  const paths = shots.map((_, i) => join(dir, `${name}-${i}.png`))
  const outputs = shots.map(({ filter }, i) => ({
    path: paths[i] ?? '',
    options: [
      ...['-map', `${i}:V:0`, '-frames:v', '1', '-vf', `${filter}scale='min(${singleWidth},iw)':-2`],
      ...['-fps_mode', 'passthrough', '-f', 'image2', '-update', '1'],
    ],
  }))
  await runFfmpeg(shots, outputs, { signal })
  return paths
}

/** The segment that a frame is in, whose clock starts with its first frame; a hair early, so that none is skipped. */
function placeInSegments({ times, batches, video: { timeBase } }: Plan, segments: string[], frame: number) {
  const starts = batchStarts(batches)
  const batch = starts.findLastIndex((start) => start <= frame)
  const [from = 0, at = 0] = timesAt(times, [starts[batch] ?? 0, frame])
  const seconds = Math.max(0, ((at - from) * timeBase[0]) / timeBase[1] - 0.001)
  return { path: segments[batch] ?? '', options: seconds > 0 ? ['-ss', seconds.toFixed(6)] : [] }
}

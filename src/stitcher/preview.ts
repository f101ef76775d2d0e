import { join } from 'node:path'
import { batchStarts, timesOf } from '../shared/frame-times.ts'
import { blankImage, openImage } from '../shared/image.ts'
import type { Plan } from '../shared/job.ts'
import { type MediaInput, runFfmpeg } from '../shared/media/ffmpeg.ts'
import { readRange } from '../shared/media/frame-range.ts'

const columns = 4
const width = 320
const gap = 4

/** A sheet of a few source frames above what became of them, as a JPEG file; answers its path. */
export async function makePreview(
  plan: Plan,
  files: { source: string; output: string; dir: string; signal: AbortSignal },
) {
  const { source, output, dir, signal } = files
  const frames = framesToShow(plan)
  const shown = frames.length
  const [before, after] = await Promise.all([
    pictures(
      frames.map((frame) => {
        const { options, filter } = readRange(plan, { first: frame, count: 1 })
        return { path: source, options, filter: `${filter},` }
      }),
      { dir, name: 'before', signal },
    ),
    pictures(
      frames.map((frame) => ({ path: output, options: ['-ss', outputSeconds(plan, frame)], filter: '' })),
      { dir, name: 'after', signal },
    ),
  ])
  const { height } = await openImage(after[0] ?? '').metadata()
  const sheet = blankImage(shown * (width + gap) - gap, height * 2 + gap, '#111111')
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
  return path
}

/**
 * Four frames, evenly spaced. Where a batch begins near by, its first frame: in the output it is a keyframe, and in the source
 * most often one, so that a single frame has to be decoded for each.
 */
export function framesToShow({ frames, batches }: Pick<Plan, 'frames' | 'batches'>): number[] {
  const shown = Math.min(columns, frames)
  const starts = batchStarts(batches)
  const ideal = Array.from({ length: shown }, (_, i) => Math.floor(((i + 0.5) * frames) / shown))
  return ideal.map((frame) => {
    const [near = frame] = starts.toSorted((a, b) => Math.abs(a - frame) - Math.abs(b - frame))
    return Math.abs(near - frame) < frames / (columns * 2) ? near : frame
  })
}

type Shot = MediaInput & { filter: string }

/** The first picture of each input, small, as files: by one process for them all. */
async function pictures(
  shots: Shot[],
  { dir, name, signal }: { dir: string; name: string; signal: AbortSignal },
): Promise<string[]> {
  const paths = shots.map((_, i) => join(dir, `${name}-${i}.png`))
  const outputs = shots.map(({ filter }, i) => ({
    path: paths[i] ?? '',
    options: [
      ...['-map', `${i}:V:0`, '-frames:v', '1', '-vf', `${filter}scale=${width}:-2`],
      ...['-fps_mode', 'passthrough', '-f', 'image2', '-update', '1'],
    ],
  }))
  await runFfmpeg(shots, outputs, { signal })
  return paths
}

/** When a frame is shown in the output, whose clock starts with the source's; a hair early, so that none is skipped. */
function outputSeconds({ times, startSeconds, video: { timeBase } }: Plan, frame: number): string {
  const [tick = 0] = timesOf(times, frame, 1)
  return Math.max(0, (tick * timeBase[0]) / timeBase[1] - startSeconds - 0.001).toFixed(6)
}

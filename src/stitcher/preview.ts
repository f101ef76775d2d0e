import { join } from 'node:path'
import pMap from 'p-map'
import { blankImage, openImage } from '../shared/image.ts'
import { timesOf } from '../shared/frame-times.ts'
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
  const shown = Math.min(columns, plan.frames)
  const frames = Array.from({ length: shown }, (_, i) => Math.floor(((i + 0.5) * plan.frames) / shown))
  const picture = async (name: string, input: MediaInput, filter: string) => {
    const path = join(dir, `${name}.png`)
    const options = [
      '-map',
      '0:V:0',
      '-frames:v',
      '1',
      '-vf',
      `${filter}scale=${width}:-2`,
      '-fps_mode',
      'passthrough',
      '-f',
      'image2',
    ]
    await runFfmpeg([input], { path, options: [...options, '-update', '1'] }, { signal })
    return path
  }
  const pairs = await pMap(
    frames,
    async (frame, i) => {
      const { options, filter } = readRange(plan, { first: frame, count: 1 })
      const before = await picture(`before-${i}`, { path: source, options }, `${filter},`)
      const after = await picture(
        `after-${i}`,
        { path: output, options: ['-ss', outputSeconds(plan, frame)] },
        '',
      )
      return [before, after]
    },
    { concurrency: 2 },
  )
  const { height } = await openImage(pairs[0]?.[1] ?? '').metadata()
  const sheet = blankImage(shown * (width + gap) - gap, height * 2 + gap, '#111111')
  const path = join(dir, 'preview.jpg')
  const tile = async (file: string) => await openImage(file).resize(width, height, { fit: 'fill' }).toBuffer()
  const tiles = await Promise.all(
    pairs.flatMap((pair, column) =>
      pair.map(async (file, row) => ({
        input: await tile(file),
        left: column * (width + gap),
        top: row * (height + gap),
      })),
    ),
  )
  await sheet.composite(tiles).jpeg({ quality: 85 }).toFile(path)
  return path
}

/** When a frame is shown in the output, whose clock starts with the source's; a hair early, so that none is skipped. */
function outputSeconds({ times, startSeconds, video: { timeBase } }: Plan, frame: number): string {
  const [tick = 0] = timesOf(times, frame, 1)
  return Math.max(0, (tick * timeBase[0]) / timeBase[1] - startSeconds - 0.001).toFixed(6)
}

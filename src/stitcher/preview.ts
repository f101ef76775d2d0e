import { join } from 'node:path'
import sharp from 'sharp'
import { timesOf } from '../shared/frame-times.ts'
import type { Plan } from '../shared/job.ts'
import { runFfmpeg } from '../shared/media/ffmpeg.ts'

// libvips keeps a thread pool and a cache of its own; here it works on a few small pictures, once a job.
sharp.concurrency(1)
sharp.cache(false)

const columns = 4
const width = 320
const gap = 4

/** A sheet of a few source frames above what became of them, as a JPEG file; answers its path. */
export async function makePreview(plan: Plan, files: { source: string; output: string; dir: string; signal: AbortSignal }) {
  const { source, output, dir, signal } = files
  const [num, den] = plan.video.timeBase
  const seconds = (tick: number) => (tick * num) / den
  const shown = Math.min(columns, plan.frames)
  const ticks = Array.from({ length: shown }, (_, i) => {
    const frame = Math.floor(((i + 0.5) * plan.frames) / shown)
    return timesOf(plan.times, frame, 1)[0] as number
  })
  // ffmpeg counts from the start of each file's clock: the source's may begin with sound, the output's does too.
  const at = ticks.map((tick) => Math.max(0, seconds(tick) - plan.startSeconds))
  const picture = async (path: string, name: string, time: number) => {
    const file = join(dir, `${name}.png`)
    const options = ['-frames:v', '1', '-vf', `scale=${width}:-2`, '-f', 'image2']
    await runFfmpeg([{ path, options: ['-ss', time.toFixed(6)] }], { path: file, options }, { signal })
    return file
  }
  const rows = await Promise.all(
    at.map(async (time, i) => [await picture(source, `before-${i}`, time), await picture(output, `after-${i}`, time)]),
  )
  const { height = 180 } = await sharp(rows[0]?.[1]).metadata()
  const sheet = sharp({
    create: { width: shown * (width + gap) - gap, height: height * 2 + gap, channels: 3, background: '#111111' },
    limitInputPixels: 64e6,
  })
  const path = join(dir, 'preview.jpg')
  const tile = async (file: string) => await sharp(file, { limitInputPixels: 64e6 }).resize(width, height, { fit: 'fill' }).toBuffer()
  const tiles = await Promise.all(
    rows.flatMap((pair, column) =>
      pair.map(async (file, row) => ({ input: await tile(file), left: column * (width + gap), top: row * (height + gap) })),
    ),
  )
  await sheet.composite(tiles).jpeg({ quality: 85 }).toFile(path)
  return path
}

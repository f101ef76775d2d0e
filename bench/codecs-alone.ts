import { open, rm } from 'node:fs/promises'
import { timesOf } from '../src/shared/frame-times.ts'
import type { VideoPlan } from '../src/shared/job.ts'
import { runFfmpeg } from '../src/shared/media/ffmpeg.ts'
import { probeFile } from '../src/shared/media/ffprobe.ts'
import { type Picture, decodeRange } from '../src/worker/decode-range.ts'
import { encodeSegment } from '../src/worker/encode-segment.ts'
import { type JobRef, openJob } from './finished-job.ts'
import { cpuOfChildren } from './processes.ts'

/** `scored` is the engine's own result, `taken` the size of the frames it took. */
type CodecsJob = JobRef & { scored: string; taken: Picture }

/** CPU seconds a frame, all threads together. */
export type CodecsRun = { decode: number; encode: number }

/** Raw frames lie on disk for the encoder: a long clip is encoded in part. */
const maxRawBytes = 1e9

/**
 * What the worker's decoder takes for the clip with nobody slowing it down, and its encoder for what came out of the
 * model: painted pictures are dearer to encode than filmed ones.
 */
export async function measureCodecs({ scored, taken, ...job }: CodecsJob): Promise<CodecsRun> {
  const { plan } = await openJob(job)
  return { decode: await decodeAlone(job.clip, plan, taken), encode: await encodeAlone(scored, plan) }
}

async function decodeAlone(path: string, plan: VideoPlan, picture: Picture): Promise<number> {
  const frame = new Uint8Array(picture.width * picture.height * 3)
  const range = { first: 0, count: plan.frames }
  const { signal } = new AbortController()
  const before = await cpuOfChildren()
  const take = async () => await Promise.resolve(frame)
  await decodeRange({ path, plan, range, picture, signal }, take, () => {})
  return ((await cpuOfChildren()) - before) / plan.frames
}

async function encodeAlone(scored: string, plan: VideoPlan): Promise<number> {
  const { streams } = await probeFile(scored)
  const { width = 0, height = 0 } = streams[0] ?? {}
  const picture = { width, height }
  const bytes = width * height * 3
  const count = Math.min(plan.frames, Math.max(1, Math.floor(maxRawBytes / bytes)))
  const [raw, path] = [`${scored}.rgb`, `${scored}.again.mp4`]
  await runFfmpeg([{ path: scored }], {
    path: raw,
    options: ['-frames:v', `${count}`, '-pix_fmt', 'rgb24', '-fps_mode', 'passthrough', '-f', 'rawvideo'],
  })
  const file = await open(raw)
  try {
    const before = await cpuOfChildren()
    const times = timesOf(plan.times, 0, count)
    const { signal } = new AbortController()
    const encoder = encodeSegment({ plan, times, scored: picture, picture, path, signal })
    const frame = new Uint8Array(bytes)
    for (let i = 0; i < count; i++) {
      await file.read(frame, 0, bytes)
      await encoder.write(frame, i)
    }
    await encoder.finish()
    return ((await cpuOfChildren()) - before) / count
  } finally {
    await file.close()
    await Promise.all([raw, path].map(async (each) => await rm(each, { force: true })))
  }
}

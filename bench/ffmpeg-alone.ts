import { rm } from 'node:fs/promises'
import type { VideoPlan } from '../src/shared/job.ts'
import { runFfmpeg } from '../src/shared/media/ffmpeg.ts'
import { encoderOptions } from '../src/worker/encode-segment.ts'

/**
 * Frames a second of one ffmpeg that decodes the clip and encodes it again with the system's own settings, and does
 * nothing else: no model, no pixels outside of it.
 */
export async function measureFfmpeg(
  clip: string,
  { frames, encoding }: Pick<VideoPlan, 'frames' | 'encoding'>,
  signal: AbortSignal,
): Promise<number> {
  const path = `${clip}.ffmpeg-alone.mp4`
  const began = performance.now()
  await runFfmpeg(
    [{ path: clip }],
    { path, options: ['-map', '0:V:0', ...encoderOptions(encoding), '-fps_mode', 'passthrough'] },
    { signal },
  )
  const seconds = (performance.now() - began) / 1_000
  await rm(path)
  return frames / seconds
}

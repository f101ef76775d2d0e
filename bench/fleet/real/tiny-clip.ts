import { runFfmpeg } from '../../../src/shared/media/ffmpeg.ts'

/** Frames so small that decoding and encoding them costs next to nothing; a keyframe a second, no sound. */
export async function makeTinyClip(path: string, frames: number): Promise<string> {
  const picture = `testsrc2=size=${tinySize}:rate=${fps}`
  await runFfmpeg([{ path: picture, options: ['-f', 'lavfi'] }], {
    path,
    options: [
      ...['-frames:v', `${frames}`, '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'],
      ...['-g', `${fps}`, '-threads', '1', '-map_metadata', '-1', '-fflags', '+bitexact'],
    ],
  })
  return path
}

const tinySize = '64x36'
const fps = 30

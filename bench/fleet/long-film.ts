import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)
const ffmpeg = async (...args: string[]) => await run('ffmpeg', ['-v', 'error', '-nostdin', '-y', ...args])

/** Frames of the scene that a film repeats: one pass over it is encoded, the rest is copied. */
const sceneFrames = 1_000

/**
 * Makes a real video of so many tiny frames within seconds. Matroska tells times by the millisecond, so that at 29.97 a second the
 * steps differ: the index has no run longer than two frames, which is the worst that a steady camera gives.
 */
export async function renderFilm(path: string, frames: number): Promise<void> {
  const scene = `${path}.scene.mp4`
  const picture = ['-f', 'lavfi', '-i', 'testsrc2=size=16x16:rate=30000/1001']
  const codec = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2', '-g', '250', '-pix_fmt', 'yuv420p']
  await ffmpeg(...picture, '-frames:v', `${Math.min(frames, sceneFrames)}`, ...codec, scene)
  const again = `${Math.ceil(frames / sceneFrames) - 1}`
  await ffmpeg(
    '-stream_loop',
    again,
    '-i',
    scene,
    '-c',
    'copy',
    '-frames:v',
    `${frames}`,
    '-f',
    'matroska',
    path,
  )
  await rm(scene)
}

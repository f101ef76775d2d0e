import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Runs ffmpeg to make media for a test. */
export async function ffmpeg(...args: string[]): Promise<void> {
  await run('ffmpeg', ['-v', 'error', '-y', '-nostdin', ...args], { maxBuffer: 16 << 20 })
}

type Clip = {
  path: string
  frames?: number
  fps?: string
  size?: string
  /** Further options of the output: codec, pixel format, group of pictures. */
  video?: string[]
  /** Sound, unless false. */
  sound?: false | string[]
  /** Filters on the picture, after the moving test pattern. */
  filter?: string
  /** Seconds that the sound starts after the picture. */
  soundDelay?: number
}

/** A moving test pattern with a number in every frame, and a tone: no two frames are alike, so a shift shows. */
export async function makeClip(clip: Clip): Promise<string> {
  const { path, frames = 60, fps = '25', size = '192x108', filter, soundDelay = 0 } = clip
  const [num = 25, den = 1] = fps.split('/').map(Number)
  const seconds = (frames * den) / num
  const video = clip.video ?? ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p']
  const sound = clip.sound ?? ['-c:a', 'aac', '-b:a', '64k']
  const picture = [`testsrc2=size=${size}:rate=${fps}`, ...(filter ? [filter] : [])].join(',')
  await ffmpeg(
    ...['-f', 'lavfi', '-i', picture],
    ...(sound
      ? [
          '-itsoffset',
          String(soundDelay),
          '-f',
          'lavfi',
          '-i',
          `sine=frequency=440:sample_rate=48000:duration=${seconds}`,
        ]
      : []),
    ...['-frames:v', String(frames), ...video, ...(sound || []), '-fps_mode', 'passthrough', path],
  )
  return path
}

/** A clip of 60 frames with the middle of one frame's bytes overwritten. */
export async function damagedClip(path: string): Promise<string> {
  await makeClip({
    ...{ path, sound: false },
    video: ['-c:v', 'libx264', '-preset', 'medium', '-bf', '0', '-g', '12', '-pix_fmt', 'yuv420p'],
  })
  const probe = ['-v', 'error', '-select_streams', 'v', '-show_entries', 'packet=pos,size', '-of', 'csv=p=0']
  const { stdout } = await run('ffprobe', [...probe, path])
  const [size = 0, at = 0] = (stdout.trim().split('\n')[30] ?? '').split(',').map(Number)
  const bytes = await readFile(path)
  bytes.fill(0xff, at, at + Math.min(size, 24))
  await writeFile(path, bytes)
  return path
}

import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { renderSampleClip } from '../src/cli/sample-clip.ts'
import { runFfmpeg } from '../src/shared/media/ffmpeg.ts'
import { probeFile } from '../src/shared/media/ffprobe.ts'

type Rendering = { path: string; width: number; height: number; seconds: number }

/** After this long the sample's near layers have gone by. */
const rideSeconds = 6

// One thread: the encoder's output depends on their number, and the clip is to have the same bytes on every machine that
// has the same ffmpeg. A keyframe a second, so that whoever cuts the clip at keyframes can do so.
const video = ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '18', '-g', '30', '-threads', '1']
const plain = ['-map_metadata', '-1', '-fflags', '+bitexact', '-flags', '+bitexact']

/** Renders the clip that is measured: the sample ride over and over, 30 frames a second, with sound. */
export async function renderClip({ path, width, height, seconds }: Rendering): Promise<void> {
  const ride = join(dirname(path), 'ride.mp4')
  await renderSampleClip(ride, dirname(path), rideSeconds)
  await runFfmpeg([{ path: ride, options: ['-stream_loop', '-1'] }], {
    path,
    options: [
      ...['-vf', `fps=30,scale=${width}:${height}:flags=bicubic,format=yuv420p`, ...video],
      ...['-c:a', 'aac', '-b:a', '128k', ...plain, '-t', `${seconds}`],
    ],
  })
  await rm(ride)
}

/**
 * The same clip several times over, by stream copy. Pictures and sound are looped apart from each other: together the
 * longer of the two would leave a gap in the other at every turn, and a clip of uneven times is encoded otherwise.
 */
export async function loopClip(clip: string, times: number, path: string): Promise<void> {
  const { streams } = await probeFile(clip)
  const hasSound = streams.some((stream) => stream.codec_type === 'audio')
  const parts = [`${path}.video.mp4`, ...(hasSound ? [`${path}.sound.mp4`] : [])]
  for (const [i, part] of parts.entries()) {
    const map = ['-map', i === 0 ? '0:V:0' : '0:a:0']
    await runFfmpeg([{ path: clip }], { path: part, options: [...map, '-c', 'copy', ...plain] })
  }
  const inputs = parts.map((part) => ({ path: part, options: ['-stream_loop', `${times - 1}`] }))
  const maps = parts.flatMap((_, i) => ['-map', `${i}`])
  await runFfmpeg(inputs, { path, options: [...maps, '-c', 'copy', ...plain] })
  for (const part of parts) await rm(part)
}

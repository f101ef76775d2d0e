import { toMicroseconds } from '../shared/frame-times.ts'
import type { Codec } from '../shared/encoding.ts'
import type { VideoPlan } from '../shared/job.ts'
import { ffmpegArgs, startMedia } from '../shared/media/ffmpeg.ts'
import { colourTags, conversion, fromRgb } from './colours.ts'
import { frameHeader, matroskaHeader } from './raw-matroska.ts'

type Preset = VideoPlan['encoding']['preset']

// Thread counts are fixed, not taken from the machine: x264's and x265's output depends on them, and the same batch
// must give the same bytes whichever worker encodes it. x264's look-ahead thread must not run ahead on its own either: on
// a busy machine one encoding in four came out with other bytes.
const steady = ['-threads', '2', '-x264-params', 'sync-lookahead=0']
const speed: Record<Preset, number> = {
  ultrafast: 8,
  superfast: 7,
  veryfast: 6,
  faster: 5,
  fast: 4,
  medium: 3,
  slow: 2,
}

const encoders: Record<Codec, (crf: number, preset: Preset) => string[]> = {
  h264: (crf, preset) => ['-c:v', 'libx264', '-crf', `${crf}`, '-preset', preset, ...steady],
  hevc: (crf, preset) => [
    '-c:v',
    'libx265',
    '-crf',
    `${crf}`,
    '-preset',
    preset,
    '-tag:v',
    'hvc1',
    '-x265-params',
    'log-level=error:pools=2:frame-threads=1',
  ],
  vp9: (crf, preset) => [
    '-c:v',
    'libvpx-vp9',
    '-crf',
    `${crf}`,
    '-b:v',
    '0',
    '-deadline',
    'good',
    '-row-mt',
    '1',
    '-threads',
    '2',
    '-cpu-used',
    `${Math.min(5, speed[preset])}`,
  ],
  av1: (crf, preset) => [
    '-c:v',
    'libsvtav1',
    '-crf',
    `${crf}`,
    '-preset',
    `${Math.min(12, speed[preset] + 4)}`,
  ],
}

/** ffmpeg's options for an encoding: the same wherever a batch is encoded. */
export const encoderOptions = ({ codec, crf, preset }: VideoPlan['encoding']): string[] =>
  encoders[codec](crf, preset)

export type SegmentEncoder = {
  /** Writes one frame (rgb24); resolves when its buffer may be used again. */
  write(pixels: Uint8Array, frame: number): Promise<void>
  /** Ends the segment. */
  finish(): Promise<void>
  /** Ends it, half done; nothing is written any more once it resolves. */
  kill(): void | Promise<void>
}

type EncodeJob = {
  plan: VideoPlan
  /** Ticks of the range's frames. */
  times: number[]
  /** Size of the frames that are written, and of the picture that is kept. */
  scored: { width: number; height: number }
  picture: { width: number; height: number }
  path: string
  signal: AbortSignal
  /** An encoder that takes no frame for this long is ended. */
  stallMs?: number
}

/** Encodes one segment: every frame at its own time, counted from the first, exact to the tick of the source's clock. */
export function encodeSegment({
  plan,
  times,
  scored,
  picture,
  path,
  signal,
  stallMs,
}: EncodeJob): SegmentEncoder {
  const { video, encoding } = plan
  const { filter, options: tags } = colourTags(video.colour)
  const stretch = scored.width !== picture.width || scored.height !== picture.height
  // 4:2:0 wants even sides, but for VP9: an odd one gets its last column or row twice.
  const right = encoding.codec === 'vp9' ? 0 : picture.width % 2
  const bottom = encoding.codec === 'vp9' ? 0 : picture.height % 2
  const size = `${picture.width + right}:${picture.height + bottom}`
  const filters = [
    ...(stretch ? [`scale=${picture.width}:${picture.height}:flags=bicubic`] : []),
    ...(right || bottom ? [`pad=${size}`, `fillborders=right=${right}:bottom=${bottom}:mode=smear`] : []),
    `scale=${[size, ...fromRgb(video.colour), conversion].join(':')}`,
    'format=yuv420p',
    `setsar=${video.sampleAspect.join('/')}`,
    filter,
  ]
  const args = ffmpegArgs([{ path: 'pipe:0', options: ['-f', 'matroska'] }], {
    path,
    options: [
      ...['-map', '0:v:0', '-vf', filters.join(',')],
      ...encoderOptions(encoding),
      // Frames that are not evenly spaced and B-frames make decoding times of neighbouring segments overlap.
      ...(video.variable && ['h264', 'hevc'].includes(encoding.codec) ? ['-bf', '0'] : []),
      ...tags,
      // By default the encoder rounds times to whole frames of the nominal rate.
      ...['-fps_mode', 'passthrough', '-enc_time_base', video.timeBase.join(':')],
      ...[
        '-video_track_timescale',
        `${video.timeBase[1]}`,
        '-map_metadata',
        '-1',
        '-fflags',
        '+bitexact',
        '-f',
        'mp4',
      ],
    ],
  })
  const run = startMedia('ffmpeg', args, { signal, stallMs, pipeIn: true, watched: false })
  run.stdout.resume()
  const bytes = scored.width * scored.height * 3
  const origin = times[0] as number

  /** Resolves when the bytes are out of our hands; their buffer is written into again. */
  async function send(data: Uint8Array): Promise<void> {
    const written = new Promise<void>((resolve, reject) => {
      run.stdin.write(data, (error) => (error ? reject(error) : resolve()))
    })
    await run.watch(written).catch(async (error: unknown) => {
      // A broken pipe says nothing; the encoder's own end says why.
      await run.done
      throw error
    })
  }

  const header = matroskaHeader({ ...scored, frameRate: video.frameRate })
  let begun = false
  return {
    async write(pixels, frame) {
      if (!begun) await send(header)
      begun = true
      const micros = toMicroseconds((times[frame] as number) - origin, video.timeBase)
      await send(frameHeader(micros, bytes))
      await send(pixels)
    },
    async finish() {
      run.stdin.end()
      await run.watch(run.done)
    },
    kill: run.kill,
  }
}

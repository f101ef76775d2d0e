import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What holds between a source and the video made of it by a model that changes nothing. */
export type Comparison = {
  frames: [source: number, output: number]
  /** Worst difference of a frame's time from the first frame's, in ms. */
  worstTimeMs: number
  /** Worst mean squared difference of a frame's picture (0..255, small grey copies). */
  worstError: number
  /** Frames that look more like their neighbour in the source than like themselves. */
  outOfPlace: number
  displayed: [source: string, output: string]
  audio: { codec: [string, string]; sameSound: boolean; offsetMs: [number, number] }[]
  colour: [source: string, output: string]
}

type Stream = Record<string, unknown> & {
  sample_aspect_ratio?: string
  codec_type: string
  codec_name: string
  width?: number
  height?: number
}

export async function compareVideo(source: string, output: string): Promise<Comparison> {
  const [from, to] = await Promise.all([look(source), look(output)])
  const error = from.pictures.map((picture, i) => difference(picture, to.pictures[i]))
  const near = (i: number, j: number) => difference(from.pictures[j], to.pictures[i]) < (error[i] ?? 0) / 4
  return {
    frames: [from.times.length, to.times.length],
    worstTimeMs: Math.max(
      ...from.times.map((time, i) => timeError(time - first(from.times), to.times[i], to.times)),
    ),
    worstError: Math.max(...error),
    outOfPlace: error.filter((value, i) => value > 4 && (near(i, i - 1) || near(i, i + 1))).length,
    displayed: [from.displayed, to.displayed],
    audio: from.audio.map((audio, i) => ({
      codec: [audio.codec, to.audio[i]?.codec ?? 'none'],
      // Copied packet for packet; MPEG-TS frames its packets otherwise than MP4, but they decode to the same sound.
      sameSound: audio.hashes === to.audio[i]?.hashes || audio.decoded === to.audio[i]?.decoded,
      offsetMs: [
        audio.firstMs - (from.times[0] ?? 0),
        (to.audio[i]?.firstMs ?? Infinity) - (to.times[0] ?? 0),
      ],
    })),
    colour: [from.colour, to.colour],
  }
}

const first = (times: number[]) => times[0] ?? 0

/** Nothing can be said of a frame that the source itself gives no time. */
function timeError(wanted: number, got: number | undefined, times: number[]): number {
  return Number.isNaN(wanted) ? 0 : Math.abs(wanted - ((got ?? Infinity) - first(times)))
}

const width = 48
const height = 48

async function look(path: string) {
  const streams = ((await probe(path, '-show_streams')).streams ?? []) as Stream[]
  const video = streams.find((stream) => stream.codec_type === 'video') as Stream
  const frames = await probe(
    path,
    '-select_streams',
    'V:0',
    '-show_entries',
    'frame=best_effort_timestamp_time',
  )
  const times = (frames.frames ?? []).map((frame) => Number(frame['best_effort_timestamp_time']) * 1_000)
  const sounds = streams.filter((stream) => stream.codec_type === 'audio')
  const audio = await Promise.all(
    sounds.map(async (stream, i) => ({ codec: stream.codec_name, ...(await packets(path, i)) })),
  )
  return {
    times,
    audio,
    pictures: await pictures(path),
    displayed: displayedSize(video),
    colour: colourOf(video),
  }
}

async function probe(path: string, ...what: string[]): Promise<Record<string, Record<string, unknown>[]>> {
  const { stdout } = await run('ffprobe', ['-v', 'error', '-of', 'json', ...what, path], {
    maxBuffer: 64 << 20,
  })
  return JSON.parse(stdout) as Record<string, Record<string, unknown>[]>
}

async function packets(path: string, index: number) {
  const found = await probe(
    path,
    '-select_streams',
    `a:${index}`,
    '-show_data_hash',
    'md5',
    '-show_entries',
    'packet=data_hash,pts_time',
  )
  const list = found['packets'] ?? []
  const { stdout: decoded } = await run('ffmpeg', [
    '-v',
    'error',
    '-i',
    path,
    '-map',
    `0:a:${index}`,
    '-f',
    'md5',
    '-',
  ])
  return {
    decoded,
    hashes: list.map((packet) => packet['data_hash']).join(' '),
    firstMs: Number(list[0]?.['pts_time']) * 1_000,
  }
}

async function pictures(path: string): Promise<Buffer[]> {
  const filter = `scale=${width}:${height}:flags=area,format=gray`
  const { stdout } = await run(
    'ffmpeg',
    [
      '-v',
      'error',
      '-i',
      path,
      '-map',
      '0:V:0',
      '-fps_mode',
      'passthrough',
      '-vf',
      filter,
      '-f',
      'rawvideo',
      '-',
    ],
    { encoding: 'buffer', maxBuffer: 512 << 20 },
  )
  const bytes = width * height
  return Array.from({ length: Math.floor(stdout.length / bytes) }, (_, i) =>
    stdout.subarray(i * bytes, (i + 1) * bytes),
  )
}

function difference(a: Buffer | undefined, b: Buffer | undefined): number {
  if (!a || !b) return Infinity
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += ((a[i] ?? 0) - (b[i] ?? 0)) ** 2
  return sum / a.length
}

function displayedSize(video: Stream): string {
  const data = (video['side_data_list'] ?? []) as { rotation?: number }[]
  const turned = Math.abs(data.find(({ rotation }) => rotation !== undefined)?.rotation ?? 0) % 180 === 90
  const [num = 1, den = 1] = (video.sample_aspect_ratio ?? '1:1').split(':').map(Number)
  const shown = [Math.round(((video.width ?? 0) * (num || 1)) / (den || 1)), video.height ?? 0]
  return (turned ? shown.toReversed() : shown).join('x')
}

const colourOf = (video: Stream) =>
  ['color_range', 'color_space', 'color_transfer', 'color_primaries']
    .map((tag) => (video[tag] as string | undefined) ?? 'unknown')
    .join(' ')

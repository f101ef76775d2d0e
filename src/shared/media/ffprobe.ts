import { z } from 'zod'
import { readLines, sourceInput } from './ffmpeg.ts'

const Stream = z.object({
  index: z.number(),
  codec_type: z.string().optional(),
  codec_name: z.string().default('unknown'),
  width: z.number().optional(),
  height: z.number().optional(),
  pix_fmt: z.string().optional(),
  field_order: z.string().optional(),
  sample_aspect_ratio: z.string().optional(),
  time_base: z.string(),
  r_frame_rate: z.string().optional(),
  avg_frame_rate: z.string().optional(),
  nb_frames: z.string().optional(),
  start_time: z.string().optional(),
  color_range: z.string().optional(),
  color_space: z.string().optional(),
  color_transfer: z.string().optional(),
  color_primaries: z.string().optional(),
  disposition: z.record(z.string(), z.number()).default({}),
  side_data_list: z.array(z.looseObject({ rotation: z.number().optional() })).default([]),
})
export type ProbedStream = z.infer<typeof Stream>

const Probe = z.object({
  streams: z.array(Stream).default([]),
  format: z.object({
    format_name: z.string(),
    start_time: z.string().optional(),
    duration: z.string().optional(),
  }),
})
export type Probe = z.infer<typeof Probe>

const inputOptions = ['-v', 'error', '-max_alloc', String(256 << 20), ...sourceInput]

/** What a local media file says of itself. Throws MediaToolError when it is no media file. */
export async function probeFile(path: string, signal?: AbortSignal): Promise<Probe> {
  const args = [...inputOptions, '-of', 'json', '-show_streams', '-show_format', path]
  const lines: string[] = []
  for await (const line of readLines('ffprobe', args, { signal })) lines.push(line)
  return Probe.parse(JSON.parse(lines.join('\n')))
}

export type Packet = { pts: number | undefined; dts: number | undefined; key: boolean; discard: boolean }

type PacketOptions = { signal?: AbortSignal; onComplaint?: (said: string) => void }

/** The packets of one stream in the order they are stored: demuxing only, nothing is decoded. */
export async function* readPackets(
  path: string,
  stream: number,
  options: PacketOptions = {},
): AsyncGenerator<Packet> {
  const wanted = [
    '-select_streams',
    String(stream),
    '-show_entries',
    'packet=pts,dts,flags',
    '-of',
    'compact=p=0:nk=0',
  ]
  for await (const line of readLines('ffprobe', [...inputOptions, ...wanted, path], options)) {
    const number = (name: string) => new RegExp(`(?:^|\\|)${name}=(-?\\d+)`).exec(line)?.[1]
    const flags = /(?:^|\|)flags=(\S+?)(?:\||$)/.exec(line)?.[1]
    if (flags === undefined) continue
    const [pts, dts] = [number('pts'), number('dts')]
    yield {
      pts: pts === undefined ? undefined : Number(pts),
      dts: dts === undefined ? undefined : Number(dts),
      key: flags.includes('K'),
      discard: flags.includes('D'),
    }
  }
}

/**
 * The times (ticks) that decoding gives one stream's frames, in order; undefined for a frame without one. Slow: for
 * files whose packets don't tell, and for the head of a file.
 */
export async function* readFrameTimes(
  path: string,
  stream: number,
  signal?: AbortSignal,
): AsyncGenerator<number | undefined> {
  const what = ['-select_streams', String(stream), '-show_entries', 'frame=best_effort_timestamp']
  for await (const line of readLines('ffprobe', [...inputOptions, ...what, '-of', 'compact=p=0', path], {
    signal,
  })) {
    const [, time] = /best_effort_timestamp=(-?\d+|N\/A)/.exec(line) ?? []
    if (time !== undefined) yield time === 'N/A' ? undefined : Number(time)
  }
}

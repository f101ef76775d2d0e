import { InputError } from '../shared/errors.ts'
import type { Plan } from '../shared/job.ts'
import { MediaToolError, mostPixels, mostStreams, sourceFormats } from '../shared/media/ffmpeg.ts'
import { type Probe, type ProbedStream, probeFile } from '../shared/media/ffprobe.ts'

export type SourceFacts = Pick<Plan, 'format' | 'startSeconds' | 'audio' | 'subtitles'> & {
  video: Omit<Plan['video'], 'variable'>
  /** Frames the container's own index promises, where it has one. */
  promisedFrames: number | undefined
  warnings: string[]
}

/** Most frames of a source. */
export const maxFrames = 5_000_000

/** What a downloaded source is. Throws InputError when it is not a video that can be scored. */
export async function probeSource(path: string, signal?: AbortSignal): Promise<SourceFacts> {
  const probe = await probeFile(path, signal).catch((error: unknown) => {
    throw notAVideo(error)
  })
  const stream = probe.streams.find(
    (each) => each.codec_type === 'video' && !each.disposition['attached_pic'],
  )
  if (!stream) throw noVideo(probe)
  return describe(probe, stream)
}

/** A media tool that could not read the file, said as the source's fault; other errors as they are. */
export function notAVideo(error: unknown): unknown {
  if (!(error instanceof MediaToolError)) return error
  const [, format] = /^\[(\S+) @ \S+\] Format not on whitelist/m.exec(error.tail) ?? []
  if (format !== undefined) {
    return new InputError(
      'format-not-taken',
      `The source is read as ${format}, which is not taken; the formats are ${sourceFormats.join(', ')}.`,
      { cause: error },
    )
  }
  if (/exceeds max_streams/.test(error.tail)) {
    return new InputError(
      'too-many-streams',
      `The source has more than ${mostStreams} streams, which are the limit.`,
      { cause: error },
    )
  }
  const why = error.tail
    .split('\n')
    .map((line) => line.replace(/^\[[^\]]*\]\s*/, '').replaceAll(/\/\S+\//g, ''))
    .find((line) => line !== '')
  return new InputError(
    'not-a-video',
    `The source is not a video that can be read${why ? `: ${why}` : ''}.`,
    { cause: error },
  )
}

function noVideo(probe: Probe): InputError {
  const hasAudio = probe.streams.some((stream) => stream.codec_type === 'audio')
  return new InputError('no-video', `The source has no video${hasAudio ? ', only sound' : ''}.`)
}

function describe(probe: Probe, stream: ProbedStream): SourceFacts {
  const { width = 0, height = 0, codec_name: codec } = stream
  if (width < 1 || height < 1)
    throw new InputError('not-a-video', 'The source has a video stream without a picture size.')
  if (width * height > mostPixels) {
    throw new InputError(
      'too-large',
      `The picture is ${width}x${height}; ${mostPixels / 1e6} million pixels are the limit.`,
    )
  }
  const declared = Number(stream.nb_frames) || 0
  if (declared > maxFrames)
    throw new InputError('too-long', `The source declares ${declared} frames; ${maxFrames} are the limit.`)
  const rotation = stream.side_data_list.find((data) => data.rotation !== undefined)?.rotation ?? 0
  const onItsSide = Math.abs(rotation) % 180 === 90
  const [num, den] = rational(stream.sample_aspect_ratio, ':') ?? [1, 1]
  const ofType = (type: string) =>
    probe.streams
      .filter((each) => each.codec_type === type)
      .map((each) => ({ index: each.index, codec: each.codec_name }))
  const warnings = []
  if (rotation % 90 !== 0)
    warnings.push(`the source is turned by ${rotation} degrees; it is scored as it is shown`)
  if (stream.pix_fmt && /^(?:yuva|rgba|bgra|argb|abgr|gbrap)/.test(stream.pix_fmt))
    warnings.push('transparency is not kept')
  return {
    format: probe.format.format_name,
    startSeconds: Number(probe.format.start_time ?? 0) || 0,
    video: {
      index: stream.index,
      codec,
      width: onItsSide ? height : width,
      height: onItsSide ? width : height,
      sampleAspect: onItsSide ? [den, num] : [num, den],
      timeBase: rational(stream.time_base, '/') ?? [1, 1_000],
      frameRate: rational(stream.avg_frame_rate, '/') ?? rational(stream.r_frame_rate, '/') ?? [25, 1],
      colour: {
        range: known(stream.color_range) ?? (stream.pix_fmt?.startsWith('yuvj') ? 'pc' : null),
        space: stream.color_space === 'gbr' ? null : known(stream.color_space),
        transfer: known(stream.color_transfer),
        primaries: known(stream.color_primaries),
      },
    },
    audio: ofType('audio'),
    subtitles: ofType('subtitle'),
    promisedFrames: /mov|mp4/.test(probe.format.format_name)
      ? Number(stream.nb_frames) || undefined
      : undefined,
    warnings,
  }
}

const known = (tag: string | undefined) =>
  tag === undefined || /^(?:unknown|reserved|unspecified)$/.test(tag) ? null : tag

function rational(text: string | undefined, separator: string): [number, number] | undefined {
  const [num, den] = (text ?? '').split(separator).map(Number)
  return num && den && num > 0 && den > 0 ? [num, den] : undefined
}

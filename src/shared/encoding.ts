import { z } from 'zod'
import { InputError } from './errors.ts'

/** Containers, codecs and presets a job may ask for, and which of them go together. */
export const Container = z.enum(['mp4', 'mkv', 'webm'])
export const Codec = z.enum(['h264', 'hevc', 'vp9', 'av1'])
export const Preset = z.enum(['ultrafast', 'superfast', 'veryfast', 'faster', 'fast', 'medium', 'slow'])
export type Container = z.infer<typeof Container>
export type Codec = z.infer<typeof Codec>

export const Encoding = z.object({
  container: Container,
  codec: Codec,
  crf: z.number().int().min(0).max(63),
  preset: Preset,
})
export type Encoding = z.infer<typeof Encoding>

const containers: Record<
  Container,
  { video: Codec[]; audio: string[]; subtitles: string[]; audioEncoder: string }
> = {
  mp4: {
    video: ['h264', 'hevc', 'vp9', 'av1'],
    audio: ['aac', 'mp3', 'mp2', 'ac3', 'eac3', 'alac', 'opus'],
    subtitles: ['mov_text'],
    audioEncoder: 'aac',
  },
  // Matroska knows more, but not everything that a source may carry: what ffmpeg can't put in is encoded anew.
  mkv: {
    video: ['h264', 'hevc', 'vp9', 'av1'],
    audio: [
      ...[
        'aac',
        'mp3',
        'mp2',
        'ac3',
        'eac3',
        'dts',
        'truehd',
        'flac',
        'alac',
        'opus',
        'vorbis',
        'wavpack',
        'tta',
      ],
      ...[
        'pcm_u8',
        'pcm_s16le',
        'pcm_s24le',
        'pcm_s32le',
        'pcm_f32le',
        'pcm_f64le',
        'pcm_s16be',
        'pcm_s24be',
        'pcm_s32be',
      ],
      ...['pcm_alaw', 'pcm_mulaw', 'wmav2'],
    ],
    subtitles: ['subrip', 'ass', 'webvtt'],
    audioEncoder: 'flac',
  },
  webm: { video: ['vp9', 'av1'], audio: ['opus', 'vorbis'], subtitles: ['webvtt'], audioEncoder: 'libopus' },
}

/** Muxer names of ffmpeg, and what a browser wants to hear. */
export const muxers: Record<Container, { format: string; contentType: string }> = {
  mp4: { format: 'mp4', contentType: 'video/mp4' },
  mkv: { format: 'matroska', contentType: 'video/x-matroska' },
  webm: { format: 'webm', contentType: 'video/webm' },
}

export function keepsAudio(container: Container, audioCodec: string): boolean {
  return containers[container].audio.includes(audioCodec)
}

export function keepsSubtitles(container: Container, subtitleCodec: string): boolean {
  return containers[container].subtitles.includes(subtitleCodec)
}

export const audioEncoder = (container: Container): string => containers[container].audioEncoder

const crfDefaults: Record<Codec, number> = { h264: 20, hevc: 23, vp9: 30, av1: 32 }
const crfMax: Record<Codec, number> = { h264: 51, hevc: 51, vp9: 63, av1: 63 }

type Wish = { container?: Container; codec?: Codec; crf?: number; preset?: Encoding['preset'] }
type SourceKind = { format: string; videoCodec: string; audioCodecs: string[] }

/**
 * The encoding of a job: what was asked for, the rest following the source. Without a wish the container follows the
 * source's where its sound can be copied into it; else Matroska, which takes every sound.
 * Throws InputError when the wishes contradict each other.
 */
export function chooseEncoding(wish: Wish, source: SourceKind): Encoding {
  const container = wish.container ?? followSource(wish, source)
  const codec = wish.codec ?? (container === 'webm' ? 'vp9' : 'h264')
  checkWish({ ...wish, container, codec })
  return { container, codec, crf: wish.crf ?? crfDefaults[codec], preset: wish.preset ?? 'veryfast' }
}

/** Throws InputError when a codec can't go into a container, or a quality is out of the codec's range. */
export function checkWish({ container, codec, crf }: Wish): void {
  if (container && codec && !containers[container].video.includes(codec)) {
    const fits = containers[container].video.join(' or ')
    throw new InputError(
      'bad-output',
      `${container} does not hold ${codec}; use ${fits}, or another container.`,
    )
  }
  if (codec && crf !== undefined && crf > crfMax[codec]) {
    throw new InputError('bad-output', `crf ${crf} is out of range for ${codec}: 0 to ${crfMax[codec]}.`)
  }
}

function followSource({ codec }: Wish, { format, videoCodec, audioCodecs }: SourceKind): Container {
  const fits = (container: Container) =>
    (!codec || containers[container].video.includes(codec)) &&
    audioCodecs.every((audio) => keepsAudio(container, audio))
  const web = format.includes('webm') && ['vp8', 'vp9', 'av1'].includes(videoCodec)
  if (web && fits('webm')) return 'webm'
  if (format.includes('matroska')) return 'mkv'
  return fits('mp4') ? 'mp4' : 'mkv'
}

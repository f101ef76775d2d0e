import { expect, test } from 'vitest'
import { checkWish, chooseEncoding, Codec, keepsAudio, keepsSubtitles } from '../../src/shared/encoding.ts'

// Formats as ffprobe names them.
const mov = 'mov,mp4,m4a,3gp,3g2,mj2'
const matroska = 'matroska,webm'

const source = (format: string, videoCodec: string, ...audioCodecs: string[]) => ({
  format,
  videoCodec,
  audioCodecs,
})

test.each([
  ['mov with aac', source(mov, 'h264', 'aac'), 'mp4', 'h264'],
  ['mov without sound', source(mov, 'prores'), 'mp4', 'h264'],
  ['mov with raw sound', source(mov, 'prores', 'pcm_s16le'), 'mkv', 'h264'],
  [
    'mov with one sound that fits and one that does not',
    source(mov, 'h264', 'aac', 'pcm_s24le'),
    'mkv',
    'h264',
  ],
  ['webm with vp9 and opus', source(matroska, 'vp9', 'opus'), 'webm', 'vp9'],
  ['webm with vp8 and vorbis', source(matroska, 'vp8', 'vorbis'), 'webm', 'vp9'],
  ['webm with av1, silent', source(matroska, 'av1'), 'webm', 'vp9'],
  ['matroska with h264 and aac', source(matroska, 'h264', 'aac'), 'mkv', 'h264'],
  ['matroska with h264 and opus', source(matroska, 'h264', 'opus'), 'mkv', 'h264'],
  ['matroska with vp9 and flac', source(matroska, 'vp9', 'flac'), 'mkv', 'h264'],
  ['avi with mp3', source('avi', 'mpeg4', 'mp3'), 'mp4', 'h264'],
  ['avi with raw sound', source('avi', 'mpeg4', 'pcm_s16le'), 'mkv', 'h264'],
  ['transport stream with aac', source('mpegts', 'h264', 'aac'), 'mp4', 'h264'],
  ['transport stream with dts', source('mpegts', 'h264', 'dts'), 'mkv', 'h264'],
  ['mp4 with vp9 and opus', source(mov, 'vp9', 'opus'), 'mp4', 'h264'],
  ['ogg with vorbis', source('ogg', 'theora', 'vorbis'), 'mkv', 'h264'],
  ['flv with speex', source('flv', 'flv1', 'speex'), 'mkv', 'h264'],
] as const)('without a wish the source is followed: %s', (_, from, container, codec) => {
  expect(chooseEncoding({}, from)).toMatchObject({ container, codec })
})

test('without a wish all sound can be copied, whatever the source', () => {
  const sounds = ['aac', 'mp3', 'opus', 'vorbis', 'pcm_s16le', 'flac', 'dts', 'truehd', 'ac3', 'wmav2']
  const sources = [mov, matroska, 'avi', 'mpegts', 'flv', 'asf'].flatMap((format) =>
    ['h264', 'vp9', 'mpeg4'].flatMap((video) =>
      sounds.flatMap((one) => sounds.map((other) => source(format, video, one, other))),
    ),
  )
  const lost = sources.filter((from) => {
    const { container } = chooseEncoding({}, from)
    return !from.audioCodecs.every((audio) => keepsAudio(container, audio))
  })
  expect(lost).toEqual([])
})

test.each([
  ['h264 from webm', { codec: 'h264' }, source(matroska, 'vp9', 'opus'), 'mkv', 'h264'],
  ['hevc from webm', { codec: 'hevc' }, source(matroska, 'vp8', 'vorbis'), 'mkv', 'hevc'],
  ['av1 from webm', { codec: 'av1' }, source(matroska, 'vp9', 'opus'), 'webm', 'av1'],
  ['vp9 from mp4', { codec: 'vp9' }, source(mov, 'h264', 'aac'), 'mp4', 'vp9'],
  ['webm from mp4', { container: 'webm' }, source(mov, 'h264', 'aac'), 'webm', 'vp9'],
  ['mkv from mp4', { container: 'mkv' }, source(mov, 'h264', 'aac'), 'mkv', 'h264'],
  ['mp4 from webm', { container: 'mp4' }, source(matroska, 'vp9', 'opus'), 'mp4', 'h264'],
  ['mp4 for raw sound', { container: 'mp4' }, source(mov, 'prores', 'pcm_s16le'), 'mp4', 'h264'],
  ['both', { container: 'webm', codec: 'av1' }, source('avi', 'mpeg4', 'mp3'), 'webm', 'av1'],
] as const)('a wish is kept, and the rest goes with it: %s', (_, wish, from, container, codec) => {
  expect(chooseEncoding(wish, from)).toMatchObject({ container, codec })
})

const clip = source(mov, 'h264', 'aac')

test.each([
  ['h264', 20],
  ['hevc', 23],
  ['vp9', 30],
  ['av1', 32],
] as const)('%s has a quality of its own when none is asked for', (codec, crf) => {
  expect(chooseEncoding({ codec }, clip)).toEqual({ container: 'mp4', codec, crf, preset: 'veryfast' })
})

test('quality and preset are kept as asked for', () => {
  expect(chooseEncoding({ crf: 0, preset: 'slow' }, clip)).toEqual({
    container: 'mp4',
    codec: 'h264',
    crf: 0,
    preset: 'slow',
  })
})

test.each([
  [{ container: 'webm', codec: 'h264' }, 'webm does not hold h264; use vp9 or av1, or another container.'],
  [{ container: 'webm', codec: 'hevc' }, 'webm does not hold hevc; use vp9 or av1, or another container.'],
  [{ codec: 'h264', crf: 52 }, 'crf 52 is out of range for h264: 0 to 51.'],
  [{ codec: 'hevc', crf: 63 }, 'crf 63 is out of range for hevc: 0 to 51.'],
  [{ codec: 'vp9', crf: 64 }, 'crf 64 is out of range for vp9: 0 to 63.'],
] as const)('wishes that contradict each other are refused with a sentence: %o', (wish, message) => {
  const sentence = expect.objectContaining({ name: 'InputError', code: 'bad-output', message })
  expect(() => checkWish(wish)).toThrow(sentence)
  expect(() => chooseEncoding(wish, clip)).toThrow(sentence)
})

test('a quality is held against the codec that is chosen, though none was asked for', () => {
  expect(() => chooseEncoding({ crf: 60 }, clip)).toThrow('crf 60 is out of range for h264: 0 to 51.')
  expect(chooseEncoding({ crf: 60 }, source(matroska, 'vp9', 'opus'))).toMatchObject({
    codec: 'vp9',
    crf: 60,
  })
})

test.each([
  ['h264', 51],
  ['hevc', 51],
  ['vp9', 63],
  ['av1', 63],
] as const)('%s takes a crf of 0 to %i and no more', (codec, most) => {
  expect(chooseEncoding({ codec, crf: 0 }, clip).crf).toBe(0)
  expect(chooseEncoding({ codec, crf: most }, clip).crf).toBe(most)
  expect(() => chooseEncoding({ codec, crf: most + 1 }, clip)).toThrow(/out of range/)
})

test.each(['mp4', 'mkv'] as const)('%s holds every codec', (container) => {
  for (const codec of Codec.options) {
    expect(chooseEncoding({ container, codec }, clip)).toMatchObject({ container, codec })
  }
})

test.each([
  ['mp4', 'mov_text', true],
  ['mp4', 'subrip', false],
  ['mkv', 'subrip', true],
  ['mkv', 'mov_text', false],
  ['webm', 'webvtt', true],
  ['webm', 'ass', false],
] as const)('subtitles: %s with %s: %s', (container, codec, kept) => {
  expect(keepsSubtitles(container, codec)).toBe(kept)
})

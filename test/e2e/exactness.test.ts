import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ffmpeg, makeClip } from '../support/clips.ts'
import { compareVideo } from '../support/compare-video.ts'
import { fixed } from '../support/models.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
let stack: TestStack
beforeAll(async () => {
  stack = await startTestStack()
})
afterAll(async () => await stack?.stop())

const bFrames = ['-c:v', 'libx264', '-preset', 'medium', '-bf', '3', '-g', '17', '-pix_fmt', 'yuv420p']
// Every frame waits for a different while: no frame rate describes this.
const variable = "settb=1/57600,setpts='N*1931+mod(N*N*37,1500)'"
const hlg = [
  '-colorspace',
  'bt2020nc',
  '-color_trc',
  'arib-std-b67',
  '-color_primaries',
  'bt2020',
  '-color_range',
  'tv',
]

const clips: [
  what: string,
  file: string,
  make: (path: string) => Promise<unknown>,
  options?: Record<string, unknown>,
][] = [
  [
    '29.97 fps with B-frames and sound',
    'ntsc.mp4',
    (path) => makeClip({ path, fps: '30000/1001', video: bFrames }),
  ],
  [
    'a variable frame rate',
    'vfr.mp4',
    (path) =>
      makeClip({
        path,
        filter: variable,
        video: [...bFrames, '-enc_time_base', '1:57600', '-video_track_timescale', '57600'],
      }),
    { batch: { frames: 7 } },
  ],
  [
    'one keyframe, cut into many batches',
    'long-gop.mp4',
    (path) => makeClip({ path, frames: 90, video: [...bFrames, '-g', '1000', '-sc_threshold', '0'] }),
    { batch: { frames: 11 } },
  ],
  [
    'open groups of pictures',
    'open-gop.mkv',
    (path) => makeClip({ path, video: [...bFrames, '-x264-params', 'open-gop=1:keyint=12'] }),
    { batch: { frames: 5 } },
  ],
  [
    'HEVC with ten bits and HLG',
    'hlg.mp4',
    (path) =>
      makeClip({
        path,
        frames: 24,
        video: [
          '-c:v',
          'libx265',
          '-preset',
          'ultrafast',
          '-pix_fmt',
          'yuv420p10le',
          '-x265-params',
          'log-level=error',
          ...hlg,
        ],
      }),
  ],
  ['sound that starts later', 'late-sound.mp4', (path) => makeClip({ path, soundDelay: 0.5 })],
  ['sound that starts earlier', 'early-sound.mkv', (path) => makeClip({ path, filter: 'setpts=PTS+0.4/TB' })],
  ['no sound', 'silent.mp4', (path) => makeClip({ path, sound: false })],
  [
    'odd sides in VP9',
    'odd.webm',
    (path) =>
      makeClip({
        path,
        frames: 20,
        size: '161x121',
        video: ['-c:v', 'libvpx-vp9', '-deadline', 'realtime'],
        sound: ['-c:a', 'libopus'],
      }),
  ],
  ['pixels that are not square', 'anamorphic.mp4', (path) => makeClip({ path, filter: 'setsar=64/45' })],
  [
    'MPEG-TS',
    'stream.ts',
    (path) => makeClip({ path, frames: 75, video: [...bFrames, '-muxdelay', '0'] }),
    { batch: { frames: 20 } },
  ],
  [
    'AVI with MP3',
    'old.avi',
    (path) =>
      makeClip({
        path,
        fps: '24000/1001',
        video: ['-c:v', 'mpeg4', '-q:v', '3'],
        sound: ['-c:a', 'libmp3lame'],
      }),
  ],
  [
    'AVI with B-frames, whose packets carry no times',
    'old-b.avi',
    (path) =>
      makeClip({ path, video: ['-c:v', 'mpeg4', '-q:v', '3', '-bf', '2'], sound: ['-c:a', 'libmp3lame'] }),
    { batch: { frames: 25 } },
  ],
  ['a stream cut out at an open group of pictures', 'cut.ts', cutAtOpenGop, { batch: { frames: 13 } }],
  [
    'PCM sound in QuickTime',
    'pcm.mov',
    (path) => makeClip({ path, frames: 50, fps: '50', sound: ['-c:a', 'pcm_s16le'] }),
  ],
  ['one single frame', 'one.mp4', (path) => makeClip({ path, frames: 1, sound: false })],
]

test.for(clips)(
  '%s: every frame in its place, at its time, with its sound',
  async ([, file, make, options]) => {
    const source = join(dir, file)
    await make(source)
    const id = await stack.submit(source, options)
    const found = await compareVideo(source, await stack.fetchOutput(id, join(dir, `${file}.out`)))
    const [frames] = found.frames
    expect(found.frames).toEqual([frames, frames])
    // A millisecond is the clock of Matroska and WebM; mp4 keeps every tick.
    expect(found.worstTimeMs).toBeLessThanOrEqual(/\.(?:mkv|webm)$/.test(file) ? 1 : 0.02)
    expect(found.outOfPlace).toBe(0)
    expect(found.worstError).toBeLessThan(12)
    expect(found.displayed[1]).toBe(found.displayed[0])
    for (const { codec, sameSound, offsetMs } of found.audio) {
      expect({ codec: codec[1], sameSound }).toEqual({ codec: codec[0], sameSound: true })
      expect(Math.abs(offsetMs[0] - offsetMs[1])).toBeLessThan(25)
    }
  },
)

test('a rotated source comes out upright', async () => {
  const source = join(dir, 'turned.mp4')
  await makeClip({ path: join(dir, 'flat.mp4') })
  await ffmpeg('-i', join(dir, 'flat.mp4'), '-c', 'copy', '-metadata:s:v', 'rotate=90', source)
  const id = await stack.submit(source)
  const found = await compareVideo(source, await stack.fetchOutput(id, join(dir, 'turned.out.mp4')))
  expect(found).toMatchObject({ frames: [60, 60], outOfPlace: 0, displayed: ['108x192', '108x192'] })
})

test('colour tags survive', async () => {
  const id = await stack.submit(join(dir, 'hlg.mp4'))
  const found = await compareVideo(
    join(dir, 'hlg.mp4'),
    await stack.fetchOutput(id, join(dir, 'hlg.again.mp4')),
  )
  expect(found.colour).toEqual(['tv bt2020nc arib-std-b67 bt2020', 'tv bt2020nc arib-std-b67 bt2020'])
})

test.for([
  ['mp4', 'hevc'],
  ['mp4', 'av1'],
  ['mkv', 'h264'],
  ['webm', 'vp9'],
])('%s with %s is exact too', async ([container, codec]) => {
  const source = join(dir, 'short.mp4')
  await makeClip({ path: source, frames: 30, fps: '30000/1001' })
  const id = await stack.submit(source, { output: { container, codec }, batch: { frames: 13 } })
  const found = await compareVideo(source, await stack.fetchOutput(id, join(dir, `${codec}.${container}`)))
  expect(found).toMatchObject({ frames: [30, 30], outOfPlace: 0 })
  expect(found.worstTimeMs).toBeLessThanOrEqual(container === 'mp4' ? 0.02 : 1)
  expect(found.audio).toHaveLength(1)
})

test.each(['stretch', 'letterbox', 'tile'])('a model of one size takes any video: %s', async (fit) => {
  const model = await stack.addModel(fixed(), { name: fit, size: { width: 96, height: 64, fit } })
  const source = await makeClip({ path: join(dir, 'any.mp4'), frames: 30, size: '200x108' })
  const id = await stack.submit(source, { model })
  const found = await compareVideo(source, await stack.fetchOutput(id, join(dir, `${fit}.mp4`)))
  expect(found).toMatchObject({ frames: [30, 30], outOfPlace: 0, displayed: ['200x108', '200x108'] })
  // Tiles lose nothing; the other pictures are smaller for a while.
  expect(found.worstError).toBeLessThan(fit === 'tile' ? 20 : 400)
})

test('the same job gives the same bytes', async () => {
  const source = join(dir, 'ntsc.mp4')
  const outputs = await Promise.all(
    [1, 2].map(async () => {
      const id = await stack.submit(source, { model: 'relief' })
      await stack.ends(id)
      return (await stack.api.report(id)) as { output: { sha256: string }; frames: number }
    }),
  )
  expect(outputs[0]?.frames).toBe(60)
  expect(outputs[0]?.output.sha256).toBe(outputs[1]?.output.sha256)
})

/** Frames at the head of this file lean on a keyframe that was cut away. */
async function cutAtOpenGop(path: string) {
  const whole = join(dir, 'open-gop.ts')
  const video = ['-c:v', 'mpeg2video', '-q:v', '3', '-bf', '2', '-g', '12', '-pix_fmt', 'yuv420p']
  await makeClip({ path: whole, frames: 90, video, sound: false })
  await ffmpeg('-ss', '1', '-i', whole, '-c', 'copy', path)
}

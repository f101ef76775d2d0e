import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { frameHeader, matroskaHeader } from '../../src/worker/raw-matroska.ts'
import { seeded } from '../../scripts/chaos/seeded.ts'

const run = promisify(execFile)
let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'raw-matroska-'))
})
afterAll(async () => await rm(dir, { recursive: true }))

type Film = { width: number; height: number; frameRate: [number, number]; times: number[] }

/** Writes a film of noise to a file; answers where it is, and its pixels. */
async function write({ times, ...picture }: Film, seed = 1) {
  const { int } = seeded(seed)
  const bytes = picture.width * picture.height * 3
  const frames = times.map(() => Buffer.from(Array.from({ length: bytes }, () => int(0, 255))))
  const path = join(dir, `${picture.width}x${picture.height}-${times.length}-${seed}.mkv`)
  const parts = frames.flatMap((pixels, i) => [frameHeader(times[i] as number, bytes), pixels])
  await writeFile(path, Buffer.concat([matroskaHeader(picture), ...parts]))
  return { path, pixels: Buffer.concat(frames) }
}

type Probed = {
  streams: Record<string, unknown>[]
  frames: { pts: number; width: number; pix_fmt: string }[]
}

async function probe(path: string): Promise<Probed> {
  const show = ['-show_streams', '-show_frames', '-of', 'json']
  const { stdout, stderr } = await run('ffprobe', ['-v', 'error', ...show, path])
  expect(stderr).toBe('')
  return JSON.parse(stdout) as Probed
}

const hour = 3_600_000_000
const odd = (() => {
  const { int } = seeded(7)
  let time = 0
  return [0, ...Array.from({ length: 40 }, () => (time += int(1, 90_001)))]
})()

test.each<[string, Film]>([
  ['one frame', { width: 16, height: 16, frameRate: [25, 1], times: [0] }],
  [
    'a constant rate',
    { width: 20, height: 12, frameRate: [30_000, 1001], times: [0, 33_367, 66_733, 100_100] },
  ],
  ['times as odd as they come', { width: 18, height: 10, frameRate: [30, 1], times: odd }],
  ['frames a microsecond apart', { width: 8, height: 8, frameRate: [1000, 1], times: [0, 1, 2, 4] }],
  ['odd sides', { width: 13, height: 7, frameRate: [24, 1], times: [0, 41_667, 83_333] }],
  [
    'frames hours apart',
    { width: 16, height: 16, frameRate: [25, 1], times: [0, 1, hour + 1, 2 * hour + 33_367, 30 * hour + 7] },
  ],
  ['pictures above 64 KiB', { width: 200, height: 120, frameRate: [25, 1], times: [0, 40_000, 80_000] }],
  ['a picture of one pixel', { width: 1, height: 1, frameRate: [25, 1], times: [0, 40_000] }],
])('ffprobe reads every frame at its own microsecond: %s', async (_, film) => {
  const { path } = await write(film)
  const { streams, frames } = await probe(path)
  expect(streams).toEqual([
    expect.objectContaining({
      codec_name: 'rawvideo',
      pix_fmt: 'rgb24',
      width: film.width,
      height: film.height,
      time_base: '1/1000000',
    }),
  ])
  expect(frames.map(({ pts }) => pts)).toEqual(film.times)
  expect(frames.every(({ pix_fmt, width }) => pix_fmt === 'rgb24' && width === film.width)).toBe(true)
})

test('ffmpeg reads back every byte of every picture', async () => {
  const { path, pixels } = await write(
    { width: 31, height: 17, frameRate: [25, 1], times: odd.slice(0, 9) },
    3,
  )
  const args = ['-v', 'error', '-i', path, '-fps_mode', 'passthrough', '-f', 'rawvideo', 'pipe:1']
  const { stdout } = await run('ffmpeg', args, { encoding: 'buffer', maxBuffer: 1 << 20 })
  expect(stdout.equals(pixels)).toBe(true)
})

test.each([
  [[25, 1], '25/1'],
  [[30_000, 1001], '30000/1001'],
  [[24_000, 1001], '24000/1001'],
  [[60, 1], '60/1'],
] as [[number, number], string][])('a rate of %j is told as the nominal one', async (frameRate, told) => {
  const step = (1e6 * frameRate[1]) / frameRate[0]
  const times = Array.from({ length: 12 }, (_, i) => Math.round(i * step))
  const { path } = await write({ width: 8, height: 8, frameRate, times }, frameRate[0])
  const { streams } = await probe(path)
  expect(streams[0]).toMatchObject({ r_frame_rate: told })
})

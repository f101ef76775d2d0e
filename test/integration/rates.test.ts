import { expect, test } from 'vitest'
import { type Rate, createRates, expectedRate, roughSize } from '../../src/shared/rates.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()

function someRates() {
  const redis = services.connect()
  const prefix = services.prefix()
  return { redis, key: `${prefix}:rates`, rates: createRates(redis, prefix) }
}

const key = { model: 'm@1', size: '640x360', device: 'cpu' }

test('the first batch is the rate, the next ones move it, and a lasting change is seen within a few', async () => {
  const { rates } = someRates()
  await rates.note(key, { frames: 10, seconds: 1, setUpSeconds: 2 })
  const [first] = await rates.all()
  expect(first).toMatchObject({ ...key, batches: 1, setUpSeconds: 2 })
  expect(first?.secondsPerFrame).toBeCloseTo(0.1)
  expect(first?.at).toBeGreaterThan(Date.now() - 60_000)
  await rates.note(key, { frames: 10, seconds: 3 })
  const [second] = await rates.all()
  expect(second).toMatchObject({ batches: 2, setUpSeconds: 2 })
  expect(second?.secondsPerFrame).toBeCloseTo(0.2)
  for (let i = 0; i < 20; i++) await rates.note(key, { frames: 100, seconds: 100, setUpSeconds: 0.5 })
  const [later] = await rates.all()
  expect(later?.secondsPerFrame).toBeGreaterThan(0.95)
  expect(later?.setUpSeconds).toBeLessThan(0.6)
  expect(later?.batches).toBe(22)
})

test.each([
  ['a short batch carries what ends it', [1_500, 60], [16, 1.8], 61.8 / 1_516],
  ['one ended while another was at its end', [1_500, 2], [16, 58], 60 / 1_516],
])('frames count, not batches: %s', async (_, long, short, wanted) => {
  const { rates } = someRates()
  for (let i = 0; i < 20; i++) {
    for (const [frames = 0, seconds = 0] of [long, short]) await rates.note(key, { frames, seconds })
  }
  const [rate] = await rates.all()
  expect((rate?.secondsPerFrame ?? 0) / wanted).toBeGreaterThan(0.75)
  expect((rate?.secondsPerFrame ?? 0) / wanted).toBeLessThan(1.3)
})

test('a set-up that nobody has measured is the usual one, and counts for nothing once it is', async () => {
  const { rates } = someRates()
  await rates.note(key, { frames: 10, seconds: 1 })
  expect(await rates.all()).toMatchObject([{ setUpSeconds: 0.5 }])
  await rates.note(key, { frames: 10, seconds: 1, setUpSeconds: 4 })
  expect(await rates.all()).toMatchObject([{ setUpSeconds: 4, batches: 2 }])
})

test('workers that note at once lose nothing', async () => {
  const { rates } = someRates()
  await Promise.all(Array.from({ length: 50 }, async () => await rates.note(key, { frames: 1, seconds: 1 })))
  expect(await rates.all()).toMatchObject([{ batches: 50, secondsPerFrame: 1 }])
})

test('what others wrote there is left out, and measured anew', async () => {
  const { redis, key: hash, rates } = someRates()
  await redis.hset(hash, 'm@1|640x360|cpu', '{"model', 'x', '7', 'y', '{"batches":1}', 'z', 'null')
  expect(await rates.all()).toEqual([])
  await rates.note(key, { frames: 10, seconds: 1 })
  expect(await rates.all()).toMatchObject([{ ...key, batches: 1 }])
})

test('of more than five hundred the stalest go, some at once', async () => {
  const { redis, key: hash, rates } = someRates()
  const old = (i: number) => ({
    ...key,
    device: `d${i}`,
    ...{ frames: 1, seconds: 1, secondsPerFrame: 1, setUpSeconds: 1, batches: 1, at: i },
  })
  const fields = Array.from({ length: 501 }, (_, i) => [`f${i}`, JSON.stringify(old(i + 1))])
  await redis.hset(hash, ...fields.flat(), 'rubbish', '{')
  await rates.note(key, { frames: 10, seconds: 1 })
  const left = await rates.all()
  expect(left).toHaveLength(450)
  expect(await redis.hexists(hash, 'rubbish')).toBe(0)
  expect(Math.min(...left.map(({ at }) => at))).toBe(53)
  expect(left.some(({ device }) => device === 'cpu')).toBe(true)
})

test('what is known of rows does not drive out what is known of videos', async () => {
  const { redis, key: hash, rates } = someRates()
  const old = (more: Partial<Rate>) => ({ ...rate(more), frames: 1, seconds: 1 })
  const videos = Array.from({ length: 150 }, (_, i) => old({ model: `film-${i}`, at: 1 + i }))
  const rows = Array.from({ length: 350 }, (_, i) => old({ model: `row-${i}`, size: '3x1', at: 1_000 + i }))
  const fields = [...videos, ...rows].flatMap((each) => [each.model, JSON.stringify(each)])
  await redis.hset(hash, ...fields)
  await rates.note({ ...key, model: 'row-new', size: '3x1' }, { frames: 10, seconds: 1 })
  const left = await rates.all()
  expect(left.filter(({ size }) => size !== '3x1')).toHaveLength(150)
  // The stalest of them went.
  expect(left.filter(({ at }) => at >= 1_000 && at < 1_051)).toHaveLength(0)
  expect(left.filter(({ model }) => model === 'row-new')).toHaveLength(1)
})

test('images of whatever sizes are known by a few, each of about as many pixels', () => {
  const rough = new Set<string>()
  for (let width = 8; width <= 16_384; width = Math.ceil(width * 1.1)) {
    for (let height = 8; height <= 16_384; height = Math.ceil(height * 1.1)) {
      const size = roughSize(`${width}x${height}`)
      rough.add(size)
      const [side = 0, other] = size.split('x').map(Number)
      expect(other).toBe(side)
      expect(Math.abs(Math.log2(side ** 2 / (width * height)))).toBeLessThan(0.6)
    }
  }
  expect(rough.size).toBeLessThan(32)
})

const rate = (more: Partial<Rate>): Rate => ({
  ...{ ...key, secondsPerFrame: 0.1, setUpSeconds: 1, batches: 5, at: 1 },
  ...more,
})
const cuda = rate({ device: 'cuda', secondsPerFrame: 0.01, batches: 9, at: 2 })
const large = rate({ size: '1280x720', secondsPerFrame: 0.5, batches: 100 })
const other = rate({ model: 'n@1', secondsPerFrame: 9 })
const known = [other, rate({}), cuda, large]
const { model, size, device } = key

test.each([
  ['as measured', { model, size, device }, 0.1, true],
  ['on another device, the one that worked last', { model, size, device: 'tensorrt' }, 0.01, true],
  ['on the device that worked last, however little', { model, size }, 0.01, true],
  ['at another size, by its pixels, on this device', { model, size: '1280x360', device: 'cuda' }, 0.02, true],
  ['at another size, from the most measured', { model, size: '640x720', device }, 0.25, true],
  ['at another size, not on another device', { model, size: '1280x720', device: 'cuda' }, 0.04, true],
  ['at another size, on the device that worked last', { model, size: '640x720' }, 0.02, true],
  ['at a size nobody knows yet', { model, device }, 0.5, true],
  ['of a model that nobody has run', { model: 'new@1', size: '1000x1000', device }, 0.1, false],
  ['of a model that nobody has run, larger', { model: 'new@1', size: '2000x1000' }, 0.2, false],
])('what a frame should take: %s', (_, wanted, seconds, measured) => {
  const expected = expectedRate(known, wanted)
  expect(expected.secondsPerFrame).toBeCloseTo(seconds)
  expect(expected).toMatchObject({ measured, setUpSeconds: measured ? 1 : 0.5 })
})

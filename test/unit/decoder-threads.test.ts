import { expect, test } from 'vitest'
import { decoderThreads } from '../../src/worker/decoder-threads.ts'

test.each([
  ['cpu', 1, 1],
  ['cpu', 2, 2],
  ['cpu', 64, 2],
  ['cuda', 1, 1],
  ['cuda', 6, 3],
  ['tensorrt', 64, 8],
] as const)('with the model on %s, of %i cores the decoder has %i', (device, cores, threads) => {
  expect(decoderThreads(device, cores)).toBe(threads)
})

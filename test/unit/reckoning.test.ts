import { expect, test } from 'vitest'
import { type Reckoning, keptReckoning } from '../../src/shared/reckoning.ts'

test('those who reckon at once share one look; one that failed is not kept', async () => {
  const reckoning: Reckoning = () => ({ secondsPerFrame: 1, setUpSeconds: 1, measured: true })
  let looks = 0
  const lately = keptReckoning(async () => {
    if (++looks === 1) throw new Error('Redis is away')
    return await Promise.resolve(reckoning)
  })
  const asked = await Promise.allSettled([lately(), lately()])
  expect(asked.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(looks).toBe(1)
  expect(await Promise.all([lately(), lately(), lately()])).toEqual([reckoning, reckoning, reckoning])
  expect(await lately()).toBe(reckoning)
  expect(looks).toBe(2)
})

import { expect, test } from 'vitest'
import { localDir } from '../../src/autoscaler/fleets/local-settings.ts'

const config = {
  FRAMEFLEET_LOCAL_DIR: '',
  FRAMEFLEET_QUEUE_PREFIX: '{framefleet}',
  FRAMEFLEET_REDIS_URL: 'redis://:secret@localhost:6379/1',
  FRAMEFLEET_WORKERS_PER_INSTANCE: 1,
}

test('two systems of one machine never share their notes; the autoscalers of one always do', () => {
  const dir = localDir(config)
  expect(dir).toMatch(/^\/tmp\/framefleet-[0-9a-f]{12}$/)
  expect(localDir({ ...config, FRAMEFLEET_REDIS_URL: 'redis://:another@localhost:6379/1' })).toBe(dir)
  const others = [
    { FRAMEFLEET_QUEUE_PREFIX: '{staging}' },
    { FRAMEFLEET_REDIS_URL: 'redis://localhost:6379/2' },
    { FRAMEFLEET_REDIS_URL: 'redis://localhost:6380/1' },
  ]
  expect(new Set([dir, ...others.map((other) => localDir({ ...config, ...other }))]).size).toBe(4)
  expect(localDir({ ...config, FRAMEFLEET_LOCAL_DIR: '/data' })).toBe('/data')
})

test('a process is one worker', () => {
  expect(() => localDir({ ...config, FRAMEFLEET_WORKERS_PER_INSTANCE: 2 })).toThrow(
    /^settings: FRAMEFLEET_WORKERS_PER_INSTANCE must be 1/,
  )
})

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { LostError, ResourceError } from '../../src/shared/errors.ts'
import { startThread } from '../../src/worker/model-thread.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

const start = () =>
  startThread<{ asks: { gate: Int32Array }; answers: { opened: true } }>('../../test/support/gated-thread')
const aGate = () => new Int32Array(new SharedArrayBuffer(4))
function open(gate: Int32Array): void {
  Atomics.store(gate, 0, 1)
  Atomics.notify(gate, 0)
}

test('a question has its time from when the one before it was answered', async () => {
  const thread = start()
  const [first, second] = [aGate(), aGate()]
  const asked = [thread.ask({ gate: first }), thread.ask({ gate: second })]
  vi.advanceTimersByTime(299_000)
  open(first)
  expect(await asked[0]).toMatchObject({ opened: true })
  vi.advanceTimersByTime(299_000)
  open(second)
  expect(await asked[1]).toMatchObject({ opened: true })
  // Of nothing that was asked no time runs out.
  vi.advanceTimersByTime(600_000)
  expect(thread.broken()).toBe(false)
  await thread.close()
})

test('where one hangs it alone is to blame: what had not begun was lost, and what is asked then', async () => {
  const thread = start()
  const asked = [thread.ask({ gate: aGate() }), thread.ask({ gate: aGate() })]
  vi.advanceTimersByTime(300_000)
  const [hung, waiting] = await Promise.allSettled(asked)
  expect(hung).toMatchObject({ reason: expect.any(ResourceError) })
  expect(waiting).toMatchObject({ reason: expect.any(LostError) })
  await expect(thread.ask({ gate: aGate() })).rejects.toThrow(LostError)
  await thread.close()
})

test('a thread that dies with nothing to do can not live: it is not only lost what is asked of it', async () => {
  const thread = start()
  await thread.close()
  await expect.poll(thread.broken).toBe(true)
  await expect(thread.ask({ gate: aGate() })).rejects.toThrow(ResourceError)
})

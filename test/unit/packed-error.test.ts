import { expect, test } from 'vitest'
import { classify } from '../../src/shared/classify.ts'
import {
  CancelledError,
  InputError,
  LostError,
  PoisonError,
  ResourceError,
  TransientError,
} from '../../src/shared/errors.ts'
import { packError, unpackError } from '../../src/shared/packed-error.ts'

const travelled = (error: unknown) => unpackError(JSON.parse(JSON.stringify(packError(error))))

test.each([
  new InputError('damaged-source', 'frame 3'),
  new TransientError('storage is away'),
  new LostError('told to leave'),
  new ResourceError('the thread died'),
  new PoisonError('the model fails on its frames'),
  new CancelledError('cancelled'),
  Object.assign(new Error('no space'), { code: 'ENOSPC' }),
  new Error('upload failed', { cause: Object.assign(new Error('reset'), { code: 'ECONNRESET' }) }),
  new Error('who knows'),
])('what becomes of an error is the same in both processes: %s', (error) => {
  const arrived = travelled(error)
  expect(classify(arrived)).toBe(classify(error))
  expect(arrived).toMatchObject({ message: error.message, name: error.name })
  expect(arrived.stack).toBe(error.stack)
})

test('a code that programs know arrives', () => {
  expect(travelled(new InputError('damaged-source', 'frame 3'))).toBeInstanceOf(InputError)
  expect(travelled(new InputError('damaged-source', 'frame 3'))).toMatchObject({ code: 'damaged-source' })
})

test('what is no error arrives as one, and a circle of causes ends', () => {
  expect(travelled('oh')).toMatchObject({ message: 'oh' })
  const circle = new Error('round')
  circle.cause = circle
  expect(travelled(circle)).toMatchObject({ message: 'round', cause: { message: 'round' } })
})

test('what was last said, and how long to wait, arrive', () => {
  const error = Object.assign(new TransientError('busy', { retryAfterMs: 3_000 }), { tail: 'no room' })
  expect(travelled(error)).toMatchObject({ retryAfterMs: 3_000, tail: 'no room' })
})

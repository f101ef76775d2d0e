import { expect, test } from 'vitest'
import { classify, isLast, retryAfterOf } from '../../src/shared/classify.ts'
import {
  CancelledError,
  InputError,
  LostError,
  PoisonError,
  ResourceError,
  TransientError,
} from '../../src/shared/errors.ts'

const withField = (field: Record<string, unknown>, message = 'it failed') =>
  Object.assign(new Error(message), field)
const caused = (cause: unknown, message = 'it failed') => new Error(message, { cause })

/** An error as another process tells of it: the class is gone, the name is left. */
const named = (name: string) => withField({ name })

test.each([
  ['the input is at fault', new InputError('bad-url', 'No.'), 'input'],
  ['the job was cancelled', new CancelledError('no'), 'cancelled'],
  ['the worker goes away', new LostError('no'), 'lost'],
  ['the engine gave out', new ResourceError('no'), 'resource'],
  ['the world is at fault', new TransientError('no'), 'transient'],
  ['the model fails on its frames', new PoisonError('no'), 'poison'],
  ['nobody knows', new Error('no'), 'unknown'],

  ['an input error of another process', named('InputError'), 'input'],
  ['a cancelled error of another process', named('CancelledError'), 'cancelled'],
  ['a lost error of another process', named('LostError'), 'lost'],
  ['a resource error of another process', named('ResourceError'), 'resource'],
  ['a transient error of another process', named('TransientError'), 'transient'],

  ['the disk is full', withField({ code: 'ENOSPC' }), 'transient'],
  ['too many files are open', withField({ code: 'EMFILE' }), 'transient'],
  ['the machine has no memory', withField({ code: 'ENOMEM' }), 'resource'],
  ['the quota is used up', withField({ code: 'EDQUOT' }), 'transient'],
  ['ffmpeg finds no room', new Error('segment.mp4: No space left on device'), 'transient'],
  ['Redis is full', new Error("OOM command not allowed when used memory > 'maxmemory'."), 'transient'],
  ['Redis is loading', new Error('LOADING Redis is loading the dataset in memory'), 'transient'],
  ['the runtime can not allocate', new Error('std::bad_alloc'), 'resource'],
  ['the GPU has no memory', new Error('CUDA error 2: out of memory'), 'resource'],
  ['the GPU fails', new Error('CUDA failure 719: unspecified launch failure'), 'resource'],
  ['cuDNN fails', new Error('CUDNN_STATUS_INTERNAL_ERROR'), 'resource'],
  ['ffmpeg has no memory', new Error('ffmpeg failed (1): Cannot allocate memory'), 'resource'],
  ['a tensor is not allocated', new Error('Failed to allocate memory for requested buffer'), 'resource'],

  ['a connection is reset', withField({ code: 'ECONNRESET' }), 'transient'],
  ['nobody listens', withField({ code: 'ECONNREFUSED' }), 'transient'],
  ['a name is not found for now', withField({ code: 'EAI_AGAIN' }), 'transient'],
  ['a pipe breaks', withField({ code: 'EPIPE' }), 'transient'],
  ['an answer takes too long', withField({ code: 'UND_ERR_HEADERS_TIMEOUT' }), 'transient'],
  ['storage is not reached', withField({ code: 'REQUEST_SEND_ERROR' }), 'transient'],

  ['a file is missing', withField({ code: 'ENOENT' }), 'unknown'],
  ['a code is a number', withField({ code: 1 }), 'unknown'],
  ['a status is a text', withField({ statusCode: '503' }), 'unknown'],
  ['no error was thrown', 'out of memory', 'unknown'],
  ['nothing was thrown', undefined, 'unknown'],
  ['an object was thrown', { name: 'InputError', message: 'no' }, 'unknown'],
] as const)('%s', (_, error, kind) => {
  expect(classify(error)).toBe(kind)
})

test.each([408, 425, 429, 500, 502, 503, 504])('storage that answers %i is asked again', (statusCode) => {
  expect(classify(withField({ statusCode }))).toBe('transient')
})

test.each([200, 304, 400, 401, 403, 404, 409, 412, 501])('an answer of %i says nothing', (statusCode) => {
  expect(classify(withField({ statusCode }))).toBe('unknown')
})

test.each([
  ['fetch hides the reason', caused(withField({ code: 'ECONNREFUSED' }), 'fetch failed'), 'transient'],
  ['a cause of a cause', caused(caused(new InputError('bad-url', 'No.'))), 'input'],
  ['a cause of another process', caused(named('LostError')), 'lost'],
  ['a cause that ran out of memory', caused(new Error('out of memory')), 'resource'],
  [
    'what was said last is what counts',
    new TransientError('no', { cause: named('InputError') }),
    'transient',
  ],
  ['what is known beats what is not', caused(caused(withField({ statusCode: 503 }))), 'transient'],
  ['a cause that is no error', caused('InputError'), 'unknown'],
] as const)('the causes are looked through: %s', (_, error, kind) => {
  expect(classify(error)).toBe(kind)
})

test('resources beat the status that came with them', () => {
  expect(classify(withField({ code: 'ENOMEM', statusCode: 503 }))).toBe('resource')
})

test('errors that cause each other come to an end', () => {
  const one = new Error('one')
  one.cause = caused(one, 'two')
  expect(classify(one)).toBe('unknown')
})

test.each([
  ['an input error', 'input', { input: 1 }, false, true],
  ['a passing error, once', 'transient', { transient: 1 }, false, false],
  ['a passing error, for minutes', 'transient', { transient: 12, unknown: 1 }, false, true],
  ['an unknown error, twice', 'unknown', { unknown: 2 }, false, false],
  ['an unknown error, three times', 'unknown', { unknown: 3 }, false, true],
  ['an unknown error of what can be halved', 'unknown', { unknown: 3 }, true, false],
  ['an unknown error that halving did not explain', 'unknown', { unknown: 4 }, true, true],
  ['an engine that died, twice', 'resource', { resource: 2 }, true, false],
  ['an engine that dies after halving too', 'resource', { resource: 3 }, true, true],
] as const)('whether it is the last try: %s', (_, kind, failures, isolates, last) => {
  expect(isLast(new Error('no'), kind, failures, isolates)).toBe(last)
})

test('once the bad frames are known there is nothing left to try', () => {
  expect(isLast(new PoisonError('no', { frames: [3] }), 'poison', { poison: 1 }, true)).toBe(true)
})

test('how long the other side wants to be left alone is found in the causes', () => {
  const busy = new TransientError('busy', { retryAfterMs: 7_000 })
  expect(retryAfterOf(new Error('upload failed', { cause: busy }))).toBe(7_000)
  expect(retryAfterOf(new TransientError('no'))).toBeUndefined()
})

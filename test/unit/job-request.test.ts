import { expect, test } from 'vitest'
import { JobId, JobRequest } from '../../src/shared/job.ts'

const url = 'https://acct.blob.core.windows.net/media/v.mp4'
const least = { source: { url }, model: 'relief' }

test('a source and a model are all that a job needs', () => {
  expect(JobRequest.parse(least)).toEqual({
    source: { url },
    model: 'relief',
    output: {},
    batch: {},
    priority: 5,
    onError: 'fail',
    errorThreshold: 10,
  })
})

test('a request that says everything is kept as it is, and is the same when read again', () => {
  const full = {
    source: { url: `${url}?sv=2024-11-04&sig=a%2Fb%3D` },
    model: 'relief@1.2_beta-3',
    output: {
      url: 'http://127.0.0.1:10000/acct/out.webm',
      container: 'webm',
      codec: 'vp9',
      crf: 30,
      preset: 'slow',
    },
    batch: { frames: 100_000 },
    priority: 10,
    onError: 'passthrough',
    errorThreshold: 0,
  }
  expect(JobRequest.parse(full)).toEqual(full)
  expect(JobRequest.parse(JobRequest.parse(least))).toEqual(JobRequest.parse(least))
})

test.each(['relief', 'r', '9', 'relief-2', 'relief@1', 'relief@2026.01_rc-1', 'relief@V2', 'a'.repeat(63)])(
  'a model may be called %s',
  (model) => {
    expect(JobRequest.parse({ ...least, model }).model).toBe(model)
  },
)

test.each([
  ['no name', ''],
  ['a capital', 'Relief'],
  ['a dash first', '-relief'],
  ['a space', 'my relief'],
  ['a way out of its folder', '../relief'],
  ['a folder', 'models/relief'],
  ['a way out behind the name', 'relief@../1'],
  ['no version behind the at', 'relief@'],
  ['no name before the at', '@1'],
  ['two versions', 'relief@1@2'],
  ['a line break behind', 'relief\n'],
  ['a name too long', 'a'.repeat(64)],
  ['a version too long', `relief@${'1'.repeat(33)}`],
  ['a URL', 'https://example.com/model.onnx'],
])('a model is refused: %s', (_, model) => {
  expect(refusalOf({ ...least, model })).toEqual(['model'])
})

test.each([
  ['no address', ''],
  ['a word', 'v.mp4'],
  ['a path', '/media/v.mp4'],
  ['a file', 'file:///etc/passwd'],
  ['another protocol', 'ftp://example.com/v.mp4'],
  ['a protocol of ffmpeg', 'concat:https://a/1.ts|https://a/2.ts'],
  ['a script', 'javascript:alert(1)'],
  ['data', 'data:video/mp4;base64,AAAA'],
  ['no protocol', '//example.com/v.mp4'],
  ['no host', 'https://'],
  ['a space in the host', 'https://exa mple.com/v.mp4'],
  ['a port that does not exist', 'https://example.com:99999/v.mp4'],
  ['too long', `https://example.com/${'a'.repeat(4000)}`],
  ['a number', 1],
  ['nothing', null],
])('an address is refused, of the source and of the output: %s', (_, bad) => {
  expect(refusalOf({ ...least, source: { url: bad } })).toEqual(['source.url'])
  expect(refusalOf({ ...least, output: { url: bad } })).toEqual(['output.url'])
})

test.each<[string, unknown, string[]]>([
  ['nothing', undefined, ['']],
  ['null', null, ['']],
  ['a text', 'relief', ['']],
  ['a list', [least], ['']],
  ['an empty object', {}, ['source', 'model']],
  ['a source that is a text', { ...least, source: url }, ['source']],
  ['a source without an address', { ...least, source: {} }, ['source.url']],
  ['an unknown field', { ...least, modle: 'relief' }, ['']],
  ['an unknown field of the source', { ...least, source: { url, etag: '1' } }, ['source']],
  ['an unknown field of the output', { ...least, output: { bitrate: 1 } }, ['output']],
  ['an unknown field of the batch', { ...least, batch: { size: 1 } }, ['batch']],
  ['an unknown container', { ...least, output: { container: 'avi' } }, ['output.container']],
  ['an unknown codec', { ...least, output: { codec: 'H264' } }, ['output.codec']],
  ['an unknown preset', { ...least, output: { preset: 'placebo' } }, ['output.preset']],
  ['a crf below zero', { ...least, output: { crf: -1 } }, ['output.crf']],
  ['a crf that no codec has', { ...least, output: { crf: 64 } }, ['output.crf']],
  ['half a crf', { ...least, output: { crf: 20.5 } }, ['output.crf']],
  ['a crf in quotes', { ...least, output: { crf: '20' } }, ['output.crf']],
  ['an output that is nothing', { ...least, output: null }, ['output']],
  ['empty batches', { ...least, batch: { frames: 0 } }, ['batch.frames']],
  ['batches too large', { ...least, batch: { frames: 100_001 } }, ['batch.frames']],
  ['half a frame', { ...least, batch: { frames: 1.5 } }, ['batch.frames']],
  ['endless batches', { ...least, batch: { frames: Infinity } }, ['batch.frames']],
  ['a priority of 0', { ...least, priority: 0 }, ['priority']],
  ['a priority of 11', { ...least, priority: 11 }, ['priority']],
  ['a priority in quotes', { ...least, priority: '5' }, ['priority']],
  ['another way to fail', { ...least, onError: 'skip' }, ['onError']],
  ['a threshold below zero', { ...least, errorThreshold: -1 }, ['errorThreshold']],
  ['half a threshold', { ...least, errorThreshold: 0.5 }, ['errorThreshold']],
  ['two kinds of source', { ...least, source: { url, images: { prefix: 'a/' } } }, ['source.url']],
  ['images of two kinds', { ...least, source: { images: { prefix: 'a/', list: [url] } } }, ['source.images']],
  [
    'a prefix that leads out',
    { ...least, source: { images: { prefix: 'a/../b' } } },
    ['source.images.prefix'],
  ],
  ['two ways to say the model', { ...least, models: ['relief'] }, ['model']],
  ['no time for a batch', { ...least, batch: { timeoutSeconds: 0 } }, ['batch.timeoutSeconds']],
  ['a level of another kind', { ...least, logLevel: 'loud' }, ['logLevel']],
  [
    'several at once',
    { ...least, priority: 0, output: { crf: -1, codec: 'x' } },
    ['output.codec', 'output.crf', 'priority'],
  ],
])('is refused, with the field that is wrong: %s', (_, request, fields) => {
  expect(refusalOf(request)).toEqual(fields)
})

/** The fields that a refusal names. */
function refusalOf(request: unknown): string[] {
  const read = JobRequest.safeParse(request)
  return read.success ? ['it was taken'] : read.error.issues.map((issue) => issue.path.join('.'))
}

test.each([
  ['7b0f4c3e-9d1a-4f7e-8a55-0c2d4c1b9e11', true],
  ['job-0001', true],
  ['job-001', false],
  ['Job-00001', false],
  ['-job-00001', false],
  ['job/../00001', false],
  ['job-00001\n', false],
  ['a'.repeat(64), true],
  ['a'.repeat(65), false],
])('an id of a job: %j: %s', (id, taken) => {
  expect(JobId.safeParse(id).success).toBe(taken)
})

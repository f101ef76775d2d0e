import { expect, test } from 'vitest'
import { Rule, Rules, defaultRules, requestOf, ruleFor } from '../../src/producer/triggers/rule.ts'
import { readTriggerFile } from '../../src/producer/triggers/trigger-file.ts'
import { namesQueue } from '../../src/producer/triggers/queue-setting.ts'

const urlOf = (name: string) => `https://acct.blob.core.windows.net/media/${name}`
const model = 'starry-night'

test('a name that makes too long a URL is refused in a sentence, by a rule and in a file', () => {
  const long = (name: string) => urlOf(name.replaceAll('字', '%E5%AD%97'))
  const name = `in/${'字'.repeat(500)}.mp4`
  const { job } = Rule.parse({ name: 'r', job: { model } })
  expect(() => job && requestOf(job, { name, modified }, { prefix: 'in/', urlOf: long })).toThrow(
    /^in\/字+\.mp4 makes no job: source\.url: Too big.*\.$/,
  )
  const file = JSON.stringify({ model, source: { name: `${'字'.repeat(500)}.mp4` } })
  expect(() => readTriggerFile('in/a.trigger.json', file, { urlOf: long, nameOf: () => undefined })).toThrow(
    /^in\/a\.trigger\.json starts no job: source\.url: Too big.*\.$/,
  )
})

test('trigger files are taken where somebody said so', () => {
  expect([Rules.parse({ rules: [] }).triggerFiles, defaultRules.triggerFiles]).toEqual([false, false])
})

const rules = Rules.parse({
  rules: [
    { name: 'drafts', prefix: 'in/drafts/', job: null },
    { name: 'waves', prefix: 'in/sea/', suffixes: ['.mp4', '.MOV'], job: { model: 'great-wave' } },
    { name: 'rest', suffixes: ['.mp4'], job: { model } },
  ],
})

test.each([
  ['in/sea/storm.mp4', 'waves'],
  ['in/sea/storm.mov', 'waves'],
  ['in/sea/STORM.MP4', 'waves'],
  ['in/sea/storm.mkv', undefined],
  ['in/film.mp4', 'rest'],
  ['in/drafts/film.mp4', 'drafts'],
  ['out/film.mp4', undefined],
  // A file that says itself what to start is no rule's.
  ['in/film.mp4.trigger.json', undefined],
])('of %s takes care %s', (name, rule) => {
  expect(ruleFor(rules, name)?.name).toBe(rule)
})

test('with nothing set a video becomes a painting, and other files nothing', () => {
  expect(ruleFor(defaultRules, 'in/holiday/Beach.MOV')?.job?.model).toBe(model)
  for (const name of ['in/notes.txt', 'in/film.mp4.part', 'uploads/film.mp4'])
    expect(ruleFor(defaultRules, name)).toBeUndefined()
})

const modified = new Date('2026-03-01T23:59:59Z')
const target = (pattern: string, name: string, prefix = 'in/') => {
  const { job } = Rule.parse({ name: 'r', prefix, job: { model, output: { name: pattern, crf: 18 } } })
  return job && requestOf(job, { name, modified }, { prefix, urlOf })
}

test.each([
  ['out/{dir}/{name}-styled.mp4', 'in/film.mp4', 'in/', 'out/film-styled.mp4'],
  ['out/{dir}/{name}.mp4', 'in/a/b/film.cut.mov', 'in/', 'out/a/b/film.cut.mp4'],
  ['out/{dir}/{name}.mp4', 'in/a/b/film.mov', 'in/a/', 'out/b/film.mp4'],
  ['{dir}/{date}/{name}.mkv', 'in/film.mov', 'in/', '2026-03-01/film.mkv'],
  ['{name}', 'in/{dir}.mov', 'in/', '{dir}'],
  // A prefix that ends within a name has no folder there.
  ['out/{dir}/{name}', 'in/sea-1/film.mov', 'in/sea', 'out/sea-1/film'],
])('%s of %s by %s is %s', (pattern, name, prefix, wanted) => {
  const request = target(pattern, name, prefix)
  expect(request).toMatchObject({ source: { url: urlOf(name) }, output: { url: urlOf(wanted), crf: 18 } })
  expect(request).not.toHaveProperty('output.name')
})

test('an output is never written over its source', () => {
  expect(() => target('in/{dir}/{name}.mp4', 'in/a/film.mp4')).toThrow(
    'The output would be written over its source, in/a/film.mp4.',
  )
})

test('a name leads no output out of its folder', () => {
  expect(() => target('out/{name}/a.mp4', 'in/...mp4')).toThrow("can't be called out/../a.mp4")
  expect(() => target('out/{name}/a.mp4', 'in/..mp4')).toThrow("can't be called out/./a.mp4")
})

test.each([
  ['a prefix of elsewhere', { name: 'r', prefix: 'out/', job: { model } }, /must begin with in\//],
  ['a placeholder nobody knows', rule({ output: { name: 'out/{nmae}' } }), /\{name\}, \{dir\} and \{date\}/],
  ['an open brace', rule({ output: { name: 'out/{name' } }), /\{name\}, \{dir\} and \{date\}/],
  ['a way out', rule({ output: { name: '../x.mp4' } }), /plain path/],
  ['a source', rule({ source: { url: urlOf('x') } }), /source/],
  ['a SAS', rule({ style: { url: `${urlOf('x.jpg')}?sig=abc` } }), /a rule keeps no SAS/],
  ['a word nobody knows', { name: 'r', prefx: 'in/', job: { model } }, /prefx/],
  ['the same name twice', [rule({}), rule({})], /two have the same name/],
  ['too many', Array.from({ length: 101 }, (_, i) => ({ name: `r${i}`, job: null })), /<=100/],
])('%s is refused', (_, given, sentence) => {
  const read = Rules.safeParse({ rules: [given].flat() })
  expect(read.error?.message).toMatch(sentence)
})

function rule(job: object) {
  return { name: 'r', job: { model, ...job } }
}

const file = 'in/night/film.mp4.trigger.json'
const store = {
  urlOf,
  nameOf: (url: string) => (url.startsWith(urlOf('')) ? url.slice(urlOf('').length) : undefined),
}
const read = (value: unknown) => readTriggerFile(file, JSON.stringify(value), store)

test('a trigger file is a job request that may name blobs beside it', () => {
  expect(read({ model, priority: 9 })).toMatchObject({
    ...{ model, priority: 9, onError: 'fail', source: { url: urlOf('in/night/film.mp4') } },
  })
  const request = read({
    ...{ model, source: { name: 'other.mov' }, style: { name: '/styles/a.jpg' } },
    output: { name: 'out.mp4', codec: 'hevc' },
  })
  expect(request).toMatchObject({
    ...{ source: { url: urlOf('in/night/other.mov') }, style: { url: urlOf('styles/a.jpg') } },
    output: { url: urlOf('in/night/out.mp4'), codec: 'hevc' },
  })
  const elsewhere = 'https://files.example.com/film.mp4?sig=abc'
  expect(read({ model, source: { url: elsewhere } }).source.url).toBe(elsewhere)
})

test.each([
  [{ name: 'a/b.mp4' }, 'in/night/a/b.mp4'],
  [{ name: '/out/night/a.mp4' }, 'out/night/a.mp4'],
  [{ url: urlOf('out/night/deep/a.mp4') }, 'out/night/deep/a.mp4'],
])('of a trigger file in in/night/ the output %j is taken', (output, name) => {
  expect(read({ model, output }).output.url).toBe(urlOf(name))
})

test.each([
  // Whoever may write into one folder of `in/` does not choose what lies in others.
  [{ name: '../a.mp4' }, 'its output in/a.mp4 is neither below in/night/ nor below out/night/'],
  [{ name: '/out/a.mp4' }, 'is neither below'],
  [{ name: '/out/nights/a.mp4' }, 'is neither below'],
  [{ url: urlOf('uploads/2026-03-01/x/a.mp4') }, 'is neither below'],
  [{ url: `${urlOf('in/day/a.mp4')}?sig=abc` }, 'is neither below'],
  [{ name: 'film.mp4' }, 'would be written over its source'],
])('of a trigger file in in/night/ the output %j is refused', (output, why) => {
  expect(() => read({ model, output })).toThrow(why)
})

test.each([
  ['{', 'it is no JSON'],
  ['[]', 'expected object'],
  ['{"model":"Van Gogh"}', 'model: Invalid'],
  [JSON.stringify({ model, colour: 'red' }), 'colour'],
  [JSON.stringify({ model, source: { name: '../../../x.mp4' } }), '../../../x.mp4 names no blob'],
  [JSON.stringify({ model, source: { name: 'folder/' } }), 'folder/ names no blob'],
  [JSON.stringify({ model, output: { name: 'a', url: urlOf('b') } }), 'give either a name or a url'],
])('the trigger file %s starts no job, and says why', (text, why) => {
  const refused = () => readTriggerFile(file, text, store)
  expect(refused).toThrow(new RegExp(`^${file} starts no job: `))
  expect(refused).toThrow(why)
})

test.each([
  ['https://acct.queue.core.windows.net/arrivals', true],
  ['https://acct.queue.core.windows.net/arrivals?sv=1&sig=abc', true],
  ['http://127.0.0.1:10001/devstoreaccount1/arrivals', true],
  ['DefaultEndpointsProtocol=https;AccountName=a;AccountKey=b;QueueName=arrivals', true],
  ['https://acct.queue.core.windows.net/', false],
  ['https://acct.queue.core.windows.net/Arrivals', false],
  ['arrivals', false],
])('%s names a queue: %s', (setting, good) => {
  expect(namesQueue(setting)).toBe(good)
})

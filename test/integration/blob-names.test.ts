import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { acceptJob } from '../../src/producer/accept-job.ts'
import { createAcceptedOutputs } from '../../src/shared/accepted-outputs.ts'
import { unescaped } from '../../src/shared/blob-name.ts'
import { type BlobStore, connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'
import { JobRequest } from '../../src/shared/job.ts'
import { layout } from '../../src/shared/layout.ts'
import { createLinks } from '../../src/shared/links.ts'
import { parseManifest } from '../../src/shared/models/manifest.ts'
import { createModelStore, sha256 } from '../../src/shared/models/model-store.ts'
import { publish } from '../../src/stitcher/publish.ts'
import { startArrivals } from '../support/arrivals.ts'
import { planOf, specOf } from '../support/jobs.ts'
import { styled } from '../support/models.ts'
import { silent } from '../support/services.ts'
import { tempDir } from '../support/temp-dir.ts'
import { useServices } from '../support/use-services.ts'

const dir = tempDir()
const services = useServices()
const id = 'the-job-of-another'
let media: BlobStore
let arrivals: Awaited<ReturnType<typeof startArrivals>>

// A container in which somebody else has a job.
beforeAll(async () => {
  arrivals = await startArrivals(services, { dir })
  media = arrivals.media
  await media.write('in/clip.mp4', Buffer.from('clip'))
  await media.write(layout.secret(id), Buffer.from('theirs'))
  const models = createModelStore(arrivals.system)
  const bytes = styled()
  const io = { layout: 'NCHW', type: 'float32', range: '0..1' }
  const tinted = { name: 'tinted', sha256: sha256(bytes), input: io, output: io, style: { name: 'style' } }
  await models.put(parseManifest(tinted, 'tinted'), bytes)
  return async () => await arrivals.close()
})

/** Each names, or could be taken to name, `jobs/<id>/secret.json` of the container, or of another one. */
const spellings: [what: string, path: string, code: RegExp][] = [
  ['as it is', `jobs/${id}/secret.json`, /reserved-name/],
  ['an escaped slash', `jobs%2F${id}%2Fsecret.json`, /reserved-name/],
  ['an escaped letter', `%6Aobs/${id}/secret.json`, /reserved-name/],
  ['escaped dots', `x%2F..%2Fjobs%2F${id}%2Fsecret.json`, /bad-url/],
  ['escaped dots in small letters', `x%2f%2e%2e%2fjobs%2f${id}%2fsecret.json`, /bad-url/],
  ['plain dots', `x/../jobs/${id}/secret.json`, /reserved-name/],
  ['half escaped dots', `x/.%2E/jobs/${id}/secret.json`, /reserved-name/],
  ['dots that lead out and in', `..%2FCONTAINER%2Fjobs%2F${id}%2Fsecret.json`, /bad-url/],
  ['plain dots that lead out and in', `../CONTAINER/jobs/${id}/secret.json`, /reserved-name/],
  ['a dot alone', `.%2Fjobs%2F${id}%2Fsecret.json`, /bad-url/],
  ['a backslash', `jobs\\${id}\\secret.json`, /reserved-name/],
  ['an escaped backslash', `jobs%5C${id}%5Csecret.json`, /bad-url/],
  ['backslashes and dots', `x%5C..%5Cjobs%5C${id}%5Csecret.json`, /bad-url/],
  ['an empty part', `/jobs/${id}/secret.json`, /bad-url/],
  ['an escaped empty part', `%2Fjobs/${id}/secret.json`, /bad-url/],
  ['another container', '..%2Fprivate%2Fsecret.json', /bad-url/],
  ['another container, plainly', '../private/secret.json', /source-forbidden|output-forbidden/],
  ['no name', '', /bad-url/],
  ['a query', `jobs/${id}/secret.json?sv=1&sig=x`, /reserved-name/],
  ['a query and dots', `x%2F..%2Fjobs%2F${id}%2Fsecret.json?sv=1&sig=x`, /bad-url/],
  ['a fragment', `jobs/${id}/secret.json#/in/clip.mp4`, /reserved-name/],
  ['the container escaped', `../%CONTAINER/jobs/${id}/secret.json`, /bad-url/],
  ['the container escaped, with a query', `../%CONTAINER/jobs/${id}/secret.json?sv=1&sig=x`, /bad-url/],
  ['the container alone', '../CONTAINER?restype=container&comp=list', /bad-url/],
]

/** The URL of a spelling in the table. */
function spelt(path: string): string {
  const base = media.url('')
  const container = base.split('/').at(-1) ?? ''
  const escaped = `%${container.charCodeAt(0).toString(16)}${container.slice(1)}`
  return `${base}/${path.replace('%CONTAINER', escaped).replace('CONTAINER', container)}`
}

async function namesUnder(prefix: string): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of media.list(prefix)) names.push(name)
  return names
}

test.for(spellings)('nobody names what is not theirs by a URL: %s', async ([, path, code]) => {
  const [url, good] = [spelt(path), media.url('in/clip.mp4')]
  for (const request of [
    { source: { url }, model: 'passthrough' },
    { source: { url: good }, model: 'tinted', style: { url } },
    { source: { url: good }, model: 'passthrough', output: { url } },
  ]) {
    const refused = acceptJob(arrivals.accept, JobRequest.parse(request), { client: 'me' })
    await expect(refused).rejects.toMatchObject({ name: 'InputError', code: expect.stringMatching(code) })
  }
  expect(await namesUnder(layout.jobs)).toEqual([layout.secret(id)])
})

test('where readings are kept jobs may read, and write nothing', async () => {
  const name = 'readings/2026/03/01/09/a.ndjson'
  const [url, source] = [media.url(name), { url: media.url('in/clip.mp4') }]
  const accept = async (request: object) =>
    await acceptJob(arrivals.accept, JobRequest.parse({ model: 'passthrough', ...request }), { client: 'me' })
  const refused = {
    code: 'reserved-name',
    message: expect.stringMatching(/names under readings\//) as string,
  }
  for (const output of [{ url }, { url: spelt('%72eadings/2026/x.mp4') }])
    await expect(accept({ source, output })).rejects.toMatchObject(refused)
  const images = { source: { images: { prefix: 'in/' } }, output: { images: { prefix: 'readings/2026/' } } }
  await expect(accept(images)).rejects.toMatchObject(refused)
  await expect(accept({ source: { url } })).rejects.toMatchObject({ code: 'source-not-found' })
})

test.for(spellings)('nor by a trigger file: %s', async ([, path]) => {
  await arrivals.setRules([], { triggerFiles: true })
  const name = 'in/clip.mp4.trigger.json'
  const say = async (request: object) => {
    await media.writeJson(name, { model: 'passthrough', ...request })
    return await arrivals.arrive([name], { way: 'queue' })
  }
  const by = [{ url: spelt(path) }, { name: `/${unescaped(path) ?? path}` }]
  for (const one of by) {
    expect(await say({ output: one })).toMatchObject({ outcome: 'refused' })
    // A source that is not there is waited for.
    const said = await say({ source: one }).catch((error: Error) => ({ outcome: error.name }))
    expect(said.outcome).toMatch(/^(?:refused|TransientError)$/)
  }
  expect(await namesUnder(layout.jobs)).toEqual([layout.secret(id)])
})

test.for(spellings)('nor does the stitcher publish there, whatever was kept: %s', async ([, path]) => {
  const file = join(dir, 'video.mp4')
  await writeFile(file, 'video')
  const url = spelt(path)
  const spec = specOf('a-job-of-mine')
  const { search } = new URL(url)
  const signal = new AbortController().signal
  // A query that opens nothing is a SAS that doesn't: then storage itself refuses.
  const parts = { spec, plan: planOf(spec.id, 1), path: file, output: { url, query: search }, signal }
  await expect(publish(media, parts)).rejects.toMatchObject({
    name: expect.stringMatching(/^(?:Input|Rest)Error$/),
  })
  expect((await media.read(layout.secret(id)))?.toString()).toBe('theirs')
  const hidden = createBlobStore(connectAccount(services.mediaAccount), 'private')
  expect(await hidden.head('secret.json').catch(() => undefined)).toBeUndefined()
  await media.remove([layout.output(spec.id, 'mp4')])
})

test.each(['x/../jobs/y', '../private/y', './x', 'x\\..\\y', 'x/..', '\ud800'])(
  'a name that leads elsewhere is asked for by nobody: %j',
  async (name) => {
    const bad = { name: 'InputError', code: 'bad-name' }
    const links = createLinks(connectAccount(services.mediaAccount), 'media', silent)
    await media.write('y', Buffer.from('theirs'))
    await expect(media.head(name)).rejects.toMatchObject(bad)
    await expect(media.read(name)).rejects.toMatchObject(bad)
    await expect(media.write(name, Buffer.from('mine'))).rejects.toMatchObject(bad)
    await expect(links.read(name)).rejects.toMatchObject(bad)
    // Of a listing they may come: the rest of it goes all the same.
    await media.write('old', Buffer.from('x'))
    await media.remove([name, 'old'])
    expect(await media.head('old')).toBeUndefined()
    expect((await media.read('y'))?.toString()).toBe('theirs')
  },
)

test('what looks like escapes once they are undone is a name like any other', async () => {
  const name = `x/%2e%2e/jobs%2F${id}%5Csecret.json`
  await media.write(name, Buffer.from('mine'))
  expect(media.nameOf(media.url(name))).toBe(name)
  expect(await namesUnder('x/')).toEqual([name])
  expect((await media.read(layout.secret(id)))?.toString()).toBe('theirs')
  await media.download(name, join(dir, 'mine'))
  expect(await readFile(join(dir, 'mine'), 'utf8')).toBe('mine')
})

test('the hash in a job that somebody changed leads to no output of another', async () => {
  const outputs = createAcceptedOutputs(await services.container())
  await outputs.keep('a-job-of-theirs', 'hash', { url: media.url('out/theirs.mp4'), query: '' })
  const changed = { id: 'a-job-of-mine', requestHash: '../a-job-of-theirs/hash' }
  await expect(outputs.of(changed)).rejects.toMatchObject({ code: 'bad-name' })
})

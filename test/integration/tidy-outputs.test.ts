import { expect, test } from 'vitest'
import { tidyOutputsChore } from '../../src/producer/tidy-outputs.ts'
import { createAcceptedOutputs } from '../../src/shared/accepted-outputs.ts'
import { connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'
import { createJobFiles } from '../../src/shared/job-files.ts'
import { layout } from '../../src/shared/layout.ts'
import { keepJob, reportFor, specOf } from '../support/jobs.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()
const signal = new AbortController().signal
const output = { url: 'https://a.example/out.mp4', query: '?sv=1&sig=x' }

async function storage() {
  const [media, hidden] = [await services.container(), await services.container()]
  const outputs = createAcceptedOutputs(hidden)
  const files = createJobFiles(media, outputs)
  const names = async () => {
    const found: string[] = []
    for await (const { name } of hidden.list('')) found.push(name)
    return found
  }
  return { media, hidden, outputs, files, names }
}

test('an output is as it was accepted, under each request, and its secret goes with the end, the rest with the job', async () => {
  const { outputs, files, names } = await storage()
  const spec = specOf('twice-001', { requestHash: 'one' })
  await keepJob(files, spec, 0)
  await outputs.keep(spec.id, 'one', output)
  await outputs.keep(spec.id, 'two', { url: 'https://a.example/other.mp4', query: '' })
  await outputs.keep('plain-001', 'three', { query: '' })
  await outputs.keep('images-01', 'five', { query: '', prefix: 'out/' })
  expect(await outputs.of(spec)).toEqual(output)
  expect(await outputs.of({ id: spec.id, requestHash: 'two' })).toEqual({
    url: 'https://a.example/other.mp4',
    query: '',
  })
  expect(await outputs.of({ id: 'plain-001', requestHash: 'three' })).toEqual({ query: '' })
  expect(await outputs.of({ id: 'images-01', requestHash: 'five' })).toEqual({ query: '', prefix: 'out/' })
  await outputs.removeJob('images-01')
  expect(await outputs.of({ id: 'older-001', requestHash: 'four' })).toBeUndefined()
  const changed = async (requestHash: string) => await outputs.of({ id: 'plain-001', requestHash })
  await expect(changed('unheard-of')).rejects.toMatchObject({ code: 'output-changed' })
  // A name that leads to another job's.
  await expect(changed('../twice-001/one')).rejects.toMatchObject({ name: 'InputError' })
  await files.removeIntermediates(spec.id)
  expect(await outputs.of(spec)).toEqual({ ...output, query: '' })
  await files.removeJob(spec.id)
  expect(await names()).toEqual(['jobs/plain-001/three.json'])
})

test('before there is a container nothing is known, and nothing is to be removed', async () => {
  const none = createBlobStore(connectAccount(services.mediaAccount), 'not-made-yet')
  const { of, removeSecrets, removeJob } = createAcceptedOutputs(none)
  expect(await of(specOf('early-001'))).toBeUndefined()
  await removeSecrets('early-001')
  await removeJob('early-001')
})

test("what is nobody's any more goes after a while, and what a job may still need stays", async () => {
  const { media, hidden, outputs, files, names } = await storage()
  const [running, ended, broken] = [specOf('running-1'), specOf('ended-001'), specOf('broken-01')]
  for (const spec of [running, ended]) await keepJob(files, spec, 0)
  for (const { id } of [running, ended, broken]) await outputs.keep(id, 'hash', output)
  await files.writeReport(reportFor(ended, 'succeeded'))
  await files.unmark(ended.id)
  const all = await names()

  await tidyOutputsChore({ media, hidden }, { everyMs: 1 }).run(signal)
  expect(await names()).toEqual(all)

  // The times of blobs are whole seconds: they may be from the second to come.
  const chore = tidyOutputsChore({ media, hidden }, { everyMs: 1, pageSize: 2, graceMs: -2_000 })
  for (let turn = 0; turn < 3; turn++) await chore.run(signal)
  expect(await names()).toEqual([
    'jobs/ended-001/hash.json',
    'jobs/running-1/hash.json',
    'jobs/running-1/hash.secret',
  ])
  await media.remove([layout.spec(ended.id)])
  for (let turn = 0; turn < 3; turn++) await chore.run(signal)
  expect(await names()).toEqual(['jobs/running-1/hash.json', 'jobs/running-1/hash.secret'])
})

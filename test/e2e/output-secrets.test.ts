import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { BlobSASPermissions, ContainerSASPermissions } from '@azure/storage-blob'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type BlobStore, connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'
import { JobSpec } from '../../src/shared/job.ts'
import { layout } from '../../src/shared/layout.ts'
import { type Service, startRole } from '../../src/shared/role-process.ts'
import { makeClip } from '../support/clips.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const expiresOn = new Date(Date.now() + 3_600_000)

let stack: TestStack
let hidden: BlobStore
let outputs: BlobStore
let source: string
let worker: Service | undefined

const account = (name: 'MEDIA' | 'SYSTEM') =>
  connectAccount(stack.stack.env[`FRAMEFLEET_${name}_ACCOUNT`] ?? '')

beforeAll(async () => {
  stack = await startTestStack({ workers: 0, env: { FRAMEFLEET_PLAN_WORKERS: '1' } })
  hidden = createBlobStore(account('MEDIA'), 'private')
  outputs = createBlobStore(account('MEDIA'), 'outputs')
  await outputs.ensureContainer()
  source = await stack.upload(await makeClip({ path: join(dir, 'clip.mp4'), frames: 20 }))
})
afterAll(async () => {
  await worker?.stop(10_000)
  await stack?.stop()
})

/** A worker with no more rights than it needs: those to some blobs of one container of each account, none to list. */
async function startPoorWorker(): Promise<void> {
  const limited = async (name: 'MEDIA' | 'SYSTEM', may: string) => {
    const service = account(name)
    const permissions = ContainerSASPermissions.parse(may)
    const sas = await service
      .getContainerClient(name.toLowerCase())
      .generateSasUrl({ permissions, expiresOn })
    return `${service.url}${new URL(sas).search}`
  }
  worker = await startRole({
    name: 'poor-worker',
    main: new URL('../../src/worker/main.ts', import.meta.url),
    env: {
      ...stack.stack.env,
      FRAMEFLEET_MEDIA_ACCOUNT: await limited('MEDIA', 'rcwd'),
      FRAMEFLEET_SYSTEM_ACCOUNT: await limited('SYSTEM', 'rac'),
    },
    logFile: join(stack.dir, 'logs', 'poor-worker.ndjson'),
  })
}

/** Submits a job whose output is written by a SAS. */
async function submit(name: string): Promise<{ id: string; url: string; query: string; signature: string }> {
  const permissions = BlobSASPermissions.parse('cw')
  const blob = account('MEDIA').getContainerClient('outputs').getBlockBlobClient(name)
  const sas = await blob.generateSasUrl({ permissions, expiresOn })
  const { search, searchParams } = new URL(sas)
  const { id } = await stack.api.submit({
    source: { url: source },
    model: 'passthrough',
    output: { url: sas },
  })
  return { id, url: outputs.url(name), query: search, signature: searchParams.get('sig') ?? '' }
}

async function namesOf(id: string): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of hidden.list(layout.accepted(id))) names.push(name.replace(/^.*\./, ''))
  return names
}

test('where an output goes is nothing a worker knows, needs, or can change', async () => {
  const job = await submit('mine.mp4')
  const old = await submit('old.mp4')
  const forged = await submit('forged.mp4')
  expect(await namesOf(job.id)).toEqual(['json', 'secret'])
  for (const name of await stack.namesUnder(layout.job(job.id)))
    expect(String(await stack.media.read(name))).not.toContain(job.signature)

  // What somebody could do who has taken over a worker that may write anywhere in its container.
  const spec = await stack.media.readJson(layout.spec(job.id), JobSpec)
  const turned = { ...spec?.request, output: { url: stack.media.url('out/stolen.mp4') } }
  await stack.media.writeJson(layout.spec(job.id), { ...spec, request: turned })

  // Nor does it help to name another request: what was accepted of this job lies there still.
  const other = await stack.media.readJson(layout.spec(forged.id), JobSpec)
  const elsewhere = { ...other?.request, output: { url: stack.media.url('out/forged.mp4') } }
  const requestHash = 'f'.repeat(64)
  await stack.media.writeJson(layout.spec(forged.id), { ...other, request: elsewhere, requestHash })

  // What a job looks like that a producer of the version before accepted.
  for await (const { name } of hidden.list(layout.accepted(old.id))) await hidden.remove([name])
  const secret = { sourceQuery: '', outputQuery: old.query, styleQuery: '' }
  await stack.media.writeJson(layout.secret(old.id), secret)

  await startPoorWorker()
  for (const { id, url } of [job, old]) {
    expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', output: url })
    expect((await outputs.head(url.slice(outputs.url('').length + 1)))?.bytes).toBeGreaterThan(1_000)
  }
  expect(await stack.ends(forged.id)).toMatchObject({
    ...{ status: 'failed', output: null },
    error: { code: 'output-changed', message: expect.stringContaining('Submit it anew') },
  })
  for (const name of ['out/stolen.mp4', 'out/forged.mp4', layout.output(forged.id, 'mp4')])
    expect(await stack.media.head(name)).toBeUndefined()
  expect(await outputs.head('forged.mp4')).toBeUndefined()
  expect(await namesOf(job.id)).toEqual(['json'])
  expect(await stack.media.head(layout.secret(old.id))).toBeUndefined()

  const logs = join(stack.dir, 'logs')
  // Those of the roles: Azurite writes down what it was asked.
  const roles = (await readdir(logs)).filter((name) => name.endsWith('.ndjson'))
  const lines = await Promise.all(roles.map(async (name) => await readFile(join(logs, name), 'utf8')))
  for (const { signature } of [job, old]) {
    expect(lines.join('\n')).not.toContain(signature)
    expect(lines.join('\n')).not.toContain(encodeURIComponent(signature))
  }
  // Nothing was asked for that it has no right to.
  expect(await readFile(join(logs, 'poor-worker.ndjson'), 'utf8')).not.toMatch(/\b403\b|Authori[sz]ation/)
})

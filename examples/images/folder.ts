// Your pictures through a model, with a stack for the occasion:
//   npm run example:folder -- photos --out scored
//   npm run example:folder -- photos --add my-model.onnx --range 0..1 --out scored
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import pMap from 'p-map'
import { startStack } from '../../src/cli/embedded-stack.ts'
import { uploadModel } from '../../src/cli/local-files.ts'
import { readModelFile } from '../../src/cli/model-file.ts'
import { createClient } from '../../src/client/client.ts'
import { type BlobStore, connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'
import { imageName } from '../../src/shared/items/item.ts'
import { layout } from '../../src/shared/layout.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: 'relief' },
    add: { type: 'string' },
    manifest: { type: 'string' },
    range: { type: 'string' },
    threshold: { type: 'string' },
    out: { type: 'string', default: 'scored' },
  },
})
const [folder] = positionals
if (folder === undefined) throw new Error('say which folder: npm run example:folder -- photos --out scored')

const dir = await mkdtemp(join(tmpdir(), 'framefleet-folder-'))
const say = (line: string) => console.error(line)
const { FRAMEFLEET_REDIS_URL: _redis, ...env } = process.env
const own = values.add === undefined ? undefined : await readOwn(values.add)
const stack = await startStack({ dir, workers: 1, port: 0, env, restart: true })
try {
  const media = createBlobStore(connectAccount(stack.env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''), 'media')
  const sent = await send(media, folder)
  say(`${sent} pictures are under photos/ in the media container`)
  const account = { systemAccount: stack.env['FRAMEFLEET_SYSTEM_ACCOUNT'], systemContainer: 'system' }
  const model = own ? await uploadModel(account, own) : values.model
  const threshold = values.threshold === undefined ? {} : { threshold: Number(values.threshold) }
  const request = {
    source: { images: { prefix: 'photos/' } },
    model,
    output: own?.manifest.scores ? { scores: threshold } : { images: { prefix: 'scored/' } },
    errorThreshold: sent,
  }
  say(`POST /v1/jobs ${JSON.stringify(request)}`)
  const api = createClient({ url: stack.apiUrl, token: stack.token })
  const { id } = await api.submit(request)
  const { status, error } = await api.waitFor(id, {
    onChange: ({ status, frames }) => say(`${status} ${frames.done} of ${frames.total ?? '?'}`),
  })
  if (status !== 'succeeded') throw new Error(`the job ${status}: ${error?.message ?? ''}`)
  const { total = 0, failed = 0, failures = [] } = (await api.report(id)).items ?? {}
  const where = own?.manifest.scores ? await fetchScores(media, id) : await fetchImages(media)
  for (const { key, message } of failures) console.log(`${key}: ${message}`)
  console.log(`${total - failed} of ${total} pictures are scored, in ${where}`)
} finally {
  await stack.stop()
  await rm(dir, { recursive: true, force: true })
}

async function readOwn(path: string) {
  const { manifest, range } = values
  return await readModelFile(path, {
    manifest,
    ask: async ({ field, assumed }) => (field.endsWith('range') ? range : assumed),
  })
}

async function send(media: BlobStore, from: string): Promise<number> {
  const files = await readdir(from, { recursive: true, withFileTypes: true })
  const pictures = files.filter((file) => file.isFile() && imageName.test(file.name))
  await pMap(
    pictures,
    async ({ parentPath, name }) => {
      const path = join(parentPath, name)
      await media.uploadFile(`photos/${relative(from, path).replaceAll('\\', '/')}`, path)
    },
    { concurrency: 8 },
  )
  return pictures.length
}

async function fetchImages(media: BlobStore): Promise<string> {
  const names: string[] = []
  for await (const { name } of media.list('scored/')) names.push(name)
  await pMap(
    names,
    async (name) => {
      const path = join(values.out, name.slice('scored/'.length))
      await mkdir(dirname(path), { recursive: true })
      await media.download(name, path)
    },
    { concurrency: 8 },
  )
  return values.out
}

async function fetchScores(media: BlobStore, id: string): Promise<string> {
  const path = `${values.out}.ndjson`
  await media.download(layout.output(id, 'ndjson'), path)
  const [first = ''] = (await readFile(path, 'utf8')).split('\n')
  console.log(first.length > 400 ? `${first.slice(0, 400)} …` : first)
  return path
}

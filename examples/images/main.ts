// A folder of images through the whole system, one in a hundred of them broken:   npm run example:images -- --images 500
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import pMap from 'p-map'
import { startStack } from '../../src/cli/embedded-stack.ts'
import { createClient } from '../../src/client/client.ts'
import { connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'
import { type MadeImage, makeImage } from './make-images.ts'

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '5000' },
    sizes: { type: 'string', default: '1' },
    workers: { type: 'string', default: '2' },
    model: { type: 'string', default: 'relief' },
  },
})
const count = Number(values.images)
if (!Number.isInteger(count) || count < 100 || count > 100_000)
  throw new Error('--images must be a whole number from 100 to 100000')

const dir = await mkdtemp(join(tmpdir(), 'framefleet-images-'))
const say = (line: string) => console.error(line)
const { FRAMEFLEET_REDIS_URL: _redis, ...env } = process.env
const stack = await startStack({ dir, workers: Number(values.workers), port: 0, env, restart: true })
try {
  const api = createClient({ url: stack.apiUrl, token: stack.token })
  const media = createBlobStore(connectAccount(stack.env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''), 'media')
  say(`making ${count} images, one in a hundred of them broken ...`)
  const made = await pMap(
    Array.from({ length: count }, (_, i) => i),
    async (i): Promise<MadeImage> => {
      const image = await makeImage(i, Number(values.sizes))
      await media.write(`photos/${image.name}`, image.bytes)
      return image
    },
    { concurrency: 64 },
  )
  const broken = made.filter(({ isBroken }) => isBroken).map(({ name }) => name)

  const began = performance.now()
  const { id } = await api.submit({
    source: { images: { prefix: 'photos/' } },
    model: values.model,
    output: { images: { prefix: 'scored/' } },
    batch: { items: 50 },
    errorThreshold: broken.length,
  })
  let said = ''
  const job = await api.waitFor(id, {
    onChange({ status, frames }) {
      const line = `${status} ${frames.done} of ${frames.total ?? '?'}`
      if (line !== said) say(line)
      said = line
    },
  })
  const seconds = (performance.now() - began) / 1_000
  const report = await api.report(id)
  let outputs = 0
  for await (const _ of media.list('scored/')) outputs += 1
  const named = new Set(report.items?.failures.map(({ key }) => key))
  const missed = broken.filter((name) => !named.has(name))

  console.log(`
${count} images went in, ${broken.length} of them broken on purpose.
${outputs} images came out, and ${named.size} are named in the report, such as`)
  for (const { key, message } of (report.items?.failures ?? []).slice(0, 4))
    console.log(`  ${key}   ${message}`)
  console.log(
    `It took ${Math.round(seconds)} s with ${values.workers} workers: ${Math.round(count / seconds)} images a second.`,
  )
  const isRight =
    job.status === 'succeeded' &&
    outputs === count - broken.length &&
    named.size === broken.length &&
    missed.length === 0
  if (isRight) console.log('All of it is as it should be.')
  else {
    console.error(`Not as it should be: ${JSON.stringify({ status: job.status, error: job.error, missed })}`)
    process.exitCode = 1
  }
} finally {
  await stack.stop()
  await rm(dir, { recursive: true, force: true })
}

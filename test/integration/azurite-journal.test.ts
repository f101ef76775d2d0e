import { once } from 'node:events'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { keptSecrets, startAzurite } from '../../src/cli/embedded-services.ts'
import { type BlobStore, connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()

test('what storage has answered holds, however often it is killed: written, written over and removed', async () => {
  await mkdir(join(dir, 'logs'))
  const { service, again, env } = await startAzurite(dir, await keptSecrets(dir), {})
  let running = service
  const media = createBlobStore(
    connectAccount(env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? '', { answerWithinMs: 5_000 }),
    'media',
  )
  await media.ensureContainer()
  /** What each blob was answered to be; none where an answer is still to come when it is killed. */
  const known = new Map<string, string | undefined>()

  for (const round of [1, 2]) {
    const killed = new AbortController()
    let answered = 0
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; !killed.signal.aborted; i = (i + 1) % 12) {
        const name = `kept/${writer}/${i}`
        const before = known.get(name)
        known.delete(name)
        // Cut off in the middle of its last one.
        const now = await change(media, name, `${round}-${answered}`, before).catch((): typeof gone => gone)
        if (now === gone) return
        known.set(name, now)
        answered += 1
      }
    })
    await expect.poll(() => answered, { timeout: 20_000 }).toBeGreaterThan(200)
    killed.abort()
    running?.process.kill('SIGKILL')
    if (running?.process.exitCode === null && running.process.signalCode === null)
      await once(running.process, 'exit')
    running = await again?.()
    await Promise.all(writers)
    expect(known.size).toBeGreaterThan(50)
    for (const [name, text] of known)
      expect([name, (await media.read(name))?.toString()]).toEqual([name, text])
    const listed: string[] = []
    for await (const blob of media.list('kept/')) listed.push(blob.name)
    for (const [name, text] of known)
      expect([name, listed.includes(name)]).toEqual([name, text !== undefined])
  }
  // What is in the books is in no journal any more, but for the one that is open.
  const journals = (await readdir(join(dir, 'azurite'))).filter((name) => name.includes('journal'))
  expect(journals).toHaveLength(2)
  await running?.stop(5_000)
})

const gone: unique symbol = Symbol('cut off')

/** Something else each time; answers what the blob is then. */
async function change(
  media: BlobStore,
  name: string,
  text: string,
  before: string | undefined,
): Promise<string | undefined> {
  if (before === undefined) {
    await media.write(name, Buffer.from(text))
    return text
  }
  if (before.length % 2 === 0) {
    await media.remove([name])
    return undefined
  }
  await media.write(name, Buffer.from(`${before}+${text}`))
  return `${before}+${text}`
}

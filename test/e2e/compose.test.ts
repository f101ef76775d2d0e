import { once } from 'node:events'
import { globSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Service } from '../../src/shared/role-process.ts'
import { makeClip } from '../support/clips.ts'
import { type ComposeRole, composeRoles, startCompose } from '../support/compose-stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const token = 'a-token-of-this-test'
const roles = new Map<ComposeRole, Service>()
let compose: Awaited<ReturnType<typeof startCompose>>

beforeAll(async () => {
  compose = await startCompose(dir, { FRAMEFLEET_API_TOKENS: token })
  await compose.startNeeds()
})
afterAll(async () => await compose?.stop())

async function call(method: string, path: string, body?: unknown) {
  const answer = await fetch(`${compose.apiUrl}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const said = (await answer.json()) as Record<string, unknown>
  expect({ path, ok: answer.ok, said }).toMatchObject({ ok: true })
  return said
}

/** Every file of the image and when it changed; but for its packages, which are the checkout's. */
async function imageFiles() {
  const files = globSync(['*', 'dist/**', 'models/**'], { cwd: compose.app, exclude: ['node_modules'] })
  const seen = files.map(async (file) => [file, (await stat(join(compose.app, file))).mtimeMs] as const)
  return Object.fromEntries(await Promise.all(seen))
}

test('Redis and Azurite start by their commands, and are well', () => {
  expect({ redis: compose.healthOf('redis'), azurite: compose.healthOf('azurite') }).toEqual({
    redis: 0,
    azurite: 0,
  })
})

test('every role starts from its image, and a video goes all the way', async () => {
  const before = await imageFiles()
  expect(await compose.health('producer')).toMatchObject({
    code: 1,
    said: expect.stringMatching(/fetch failed/),
  })
  for (const role of composeRoles) roles.set(role, await compose.startRole(role))
  for (const role of composeRoles) {
    expect({ role, ...(await compose.health(role)) }).toEqual({ role, code: 0, said: '' })
  }

  const clip = await readFile(await makeClip({ path: join(dir, 'clip.mp4'), frames: 20 }))
  const upload = (await call('POST', '/v1/uploads', { name: 'clip.mp4' })) as { url: string; source: string }
  const put = await fetch(upload.url, {
    method: 'PUT',
    headers: { 'x-ms-blob-type': 'BlockBlob' },
    body: clip,
  })
  expect(put.status).toBe(201)
  const { id } = await call('POST', '/v1/jobs', { source: { url: upload.source }, model: 'great-wave' })
  const job = await ends(String(id))
  expect(job).toMatchObject({ status: 'succeeded', frames: { total: 20, done: 20 } })

  // By the address that people reach storage at, not the one that roles do.
  const { output } = (await call('GET', `/v1/jobs/${String(id)}/links`)) as { output: { url: string } }
  expect((await (await fetch(output.url)).arrayBuffer()).byteLength).toBeGreaterThan(1_000)
  // Its file system may be read-only.
  expect(await imageFiles()).toEqual(before)
})

test('the page is in the image, and may put a file where the API says', async () => {
  const page = await fetch(compose.apiUrl)
  expect(page).toMatchObject({ status: 200 })
  expect(page.headers.get('content-type')).toContain('text/html')
  const { url } = (await call('POST', '/v1/uploads', { name: 'clip.mp4' })) as { url: string }
  expect(page.headers.get('content-security-policy')).toContain(new URL(url).origin)
  const asked = await fetch(url, {
    method: 'OPTIONS',
    headers: {
      origin: compose.apiUrl,
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'content-type,x-ms-blob-type',
    },
  })
  expect(asked.headers.get('access-control-allow-origin')).toBe(compose.apiUrl)
})

test('every role leaves when it is told to, and leaves nothing running', async () => {
  for (const [role, { process }] of [...roles].toReversed()) {
    const gone = once(process, 'exit')
    process.kill('SIGTERM')
    const [code, signal] = (await gone) as [number | null, string | null]
    expect({ role, code, signal }).toEqual({ role, code: 0, signal: null })
  }
})

async function ends(id: string) {
  for (;;) {
    const job = await call('GET', `/v1/jobs/${id}`)
    if (['succeeded', 'failed', 'cancelled'].includes(String(job['status']))) return job
    await pause(100)
  }
}

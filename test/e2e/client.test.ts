import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, readFile, readdir, stat, utimes, writeFile } from 'node:fs/promises'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { typesOf } from '../../scripts/api-types.ts'
import { ApiError, type Job, type UploadOptions, createClient } from '../../src/client/client.ts'
import { connectBlob } from '../../src/shared/blob-store.ts'
import { cliMain, run, runCli } from '../support/cli.ts'
import { checkTypes, installPackage } from '../support/client-package.ts'
import { makeClip } from '../support/clips.ts'
import { startRelay } from '../support/relay.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
let stack: TestStack
let clip: string
/** Between people and storage, and between them and the API. */
let storage: Awaited<ReturnType<typeof startRelay>>
let line: Awaited<ReturnType<typeof startRelay>>

beforeAll(async () => {
  storage = await startRelay()
  line = await startRelay()
  const env = { FRAMEFLEET_MEDIA_PUBLIC_URL: `${storage.url}/media` }
  stack = await startTestStack({ workers: 1, env })
  const account = stack.stack.env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''
  storage.to(/BlobEndpoint=([^;]+)/.exec(account)?.[1] ?? '')
  line.to(stack.stack.apiUrl)
  clip = await makeClip({ path: join(dir, 'clip.mp4'), frames: 48 })
})

afterAll(async () => {
  await stack.stop()
  await Promise.all([storage.close(), line.close()])
})

const client = (url = stack.stack.apiUrl, token = stack.stack.token) => createClient({ url, token })
const refusal = async (call: Promise<unknown>) =>
  await call.then(
    () => undefined,
    (error: unknown) => error,
  )
/** As somebody elsewhere calls it: an address and a token, and no way into storage. */
const cli = async (args: string[], env: NodeJS.ProcessEnv = {}) =>
  await runCli(args, {
    ...{ FRAMEFLEET_API_URL: stack.stack.apiUrl, FRAMEFLEET_API_TOKEN: stack.stack.token },
    ...{ XDG_STATE_HOME: join(dir, 'state'), ...env },
  })

test("the client's types are those of the API that runs", async () => {
  const document = (await (await stack.call('GET', '/docs/json')).json()) as Parameters<typeof typesOf>[0]
  const written = spawnSync('node_modules/.bin/oxfmt', ['--stdin-filepath=src/client/api-types.ts'], {
    input: typesOf(document),
    encoding: 'utf8',
  })
  const kept = await readFile('src/client/api-types.ts', 'utf8')
  // Mended by `npm run client:types`.
  expect(kept).toBe(written.stdout)
})

test('submit, follow to the end, fetch what came of it', async () => {
  const api = client()
  const source = { url: await stack.upload(clip) }
  const { id } = await api.submit({ source, model: 'passthrough' })
  const seen: Job['status'][] = []
  const job = await api.waitFor(id, { onChange: ({ status }) => seen.push(status) })
  expect(job).toMatchObject({ id, status: 'succeeded', frames: { done: 48, total: 48 } })
  expect(seen.at(-1)).toBe('succeeded')
  expect(await api.report(id)).toMatchObject({ jobId: id, frames: 48 })
  const output = await new Response(await api.download(id, 'output')).bytes()
  expect(Buffer.from(output.subarray(4, 8)).toString()).toBe('ftyp')
  expect((await api.jobs()).jobs.map((each) => each.id)).toContain(id)
  // What was over before anybody looked is told all the same.
  const late: Job[] = []
  for await (const job of api.stream(id)) late.push(job)
  expect(late).toMatchObject([{ id, status: 'succeeded' }])
})

test('what is refused is an error with a code, a status and a sentence', async () => {
  const api = client()
  const source = { url: await stack.upload(clip) }
  expect(await refusal(api.submit({ source, model: 'no-such-model' }))).toMatchObject({
    ...{ name: 'ApiError', code: 'unknown-model', status: 422 },
    detail: expect.stringContaining('no-such-model'),
  })
  expect(await refusal(api.job('00000000-none'))).toMatchObject({ code: 'job-unknown', status: 404 })
  const stranger = client(undefined, 'a-token-that-nobody-gave')
  expect(await refusal(stranger.models())).toMatchObject({ code: 'unauthorized', status: 401 })
  await line.close()
  const away = createClient({ url: line.url, token: 'x', tries: 2 })
  const unreachable = await refusal(away.models())
  expect(unreachable).toBeInstanceOf(ApiError)
  expect(unreachable).toMatchObject({ code: 'unreachable', status: null })
  await line.revive()
})

test('a submit whose answer was lost is sent again, and is one job', async () => {
  const source = { url: await stack.upload(clip) }
  const before = (await client().jobs({ limit: 100 })).jobs.length
  line.loseAnswers(1, ({ method }) => method === 'POST')
  const { id } = await client(line.url).submit({ source, model: 'passthrough' })
  const { jobs } = await client().jobs({ limit: 100 })
  expect(jobs.length).toBe(before + 1)
  expect(jobs[0]?.id).toBe(id)
  await stack.ends(id)
})

test('a line that breaks in the middle of a file costs what was on its way, no more', async () => {
  // Ten blocks, of which two are answered, and four more are on their way, when the line breaks.
  const total = 10 << 20
  const film = join(dir, 'film.bin')
  await writeFile(film, randomBytes(total))
  const api = client()
  const stateDir = join(dir, 'uploads')
  const upload = async (onProgress?: UploadOptions['onProgress']) =>
    await api.upload(film, { stateDir, blockBytes: 1 << 20, tries: 2, onProgress })
  const isBlock = ({ url = '' }: { url?: string }) => url.includes('comp=block&')
  storage.dieAfter(2, isBlock)
  expect(await refusal(upload())).toMatchObject({ code: 'unreachable', status: null })
  await storage.revive()

  // What is known of it holds no key to it.
  const [state = ''] = await readdir(stateDir)
  const kept = await readFile(join(stateDir, state), 'utf8')
  expect(kept).not.toMatch(/sig=|sv=/)
  const { source } = JSON.parse(kept) as { source: string }
  const blob = connectBlob((await api.beginUpload({ source })).url)
  const { uncommittedBlocks = [] } = await blob.getBlockList('uncommitted')
  const there = uncommittedBlocks.reduce((sum, { size }) => sum + size, 0)
  expect(there).toBeGreaterThanOrEqual(2 << 20)
  expect(there).toBeLessThan(total)

  const again = storage.count(isBlock)
  const told: number[] = []
  expect(await upload(({ sent }) => told.push(sent))).toBe(source)
  expect({ sent: again(), told: [told[0], told.at(-1)] }).toEqual({
    sent: total - there,
    told: [there, total],
  })
  expect((await blob.downloadToBuffer()).equals(await readFile(film))).toBe(true)

  const third = storage.count(isBlock)
  expect(await upload()).toBe(source)
  expect(third()).toBe(0)

  // A file that somebody touched may be another one.
  await utimes(film, new Date(), new Date(1_700_000_000_000))
  const anew = storage.count(isBlock)
  expect(await upload()).not.toBe(source)
  expect(anew()).toBe(total)
})

test('schedules are set, run, shown and removed from the command line', async () => {
  const file = join(dir, 'daily.json')
  const daily = {
    cron: '0 3 * * *',
    job: { source: { url: await stack.upload(clip) }, model: 'passthrough' },
  }
  await writeFile(file, JSON.stringify({ ...daily, cron: 'daily' }))
  expect(await cli(['schedules', 'set', 'daily', file])).toMatchObject({
    ...{ code: 1, stdout: '' },
    stderr: expect.stringMatching(/^framefleet: cron: must have five fields: [^\n]+\n$/),
  })
  await writeFile(file, JSON.stringify(daily))
  expect(await cli(['schedules', 'set', 'daily', file])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(
      /^daily {2}0 3 \* \* \* \(UTC, skip\) {2}next \S+T03:00:00.000Z {2}no run yet\n$/,
    ),
  })
  const run = await cli(['schedules', 'run-now', 'daily', '--json'])
  const { jobId, outcome } = JSON.parse(run.stdout) as { jobId: string; outcome: string }
  expect({ code: run.code, outcome }).toEqual({ code: 0, outcome: 'started' })
  expect(await stack.ends(jobId)).toMatchObject({ status: 'succeeded' })
  const late = await cli(['schedules', 'run-now', 'daily', '--at', '2199-01-01T00:00:00Z'])
  expect(late).toMatchObject({ code: 1, stderr: expect.stringContaining('a time that has come') })
  const shown = await cli(['schedules', 'show', 'daily'])
  expect(shown.stdout).toMatch(new RegExp(`\n\\S+T03:00:00.000Z  started  ${jobId}  by hand\n$`))
  expect(await cli(['schedules', 'remove', 'daily'])).toMatchObject({ code: 0 })
  expect(await cli(['schedules'])).toMatchObject({ code: 0, stdout: 'no schedules\n' })
})

test('the command line says what became of it by its exit code, and by plain lines in a pipe', async () => {
  const url = await stack.upload(clip)
  const followed = await cli(['submit', url, '--model', 'passthrough', '--wait'])
  expect(followed).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^succeeded: framefleet download [\w-]+\n$/),
  })
  expect(followed.stderr).toMatch(/^job [\w-]+\n[^]*^succeeded 48\/48 frames/m)
  expect(followed.stderr).not.toContain('\u001b')
  // What it says to call is what fetches it.
  const says = followed.stdout.trim().split(' ').slice(2)
  const out = join(dir, 'fetched.mp4')
  expect(await cli([...says, '--out', out])).toMatchObject({ code: 0, stdout: `${out}\n` })
  expect((await readFile(out)).subarray(4, 8).toString()).toBe('ftyp')

  const nothing = await stack.upload(import.meta.filename)
  const failed = await cli(['submit', nothing, '--model', 'passthrough', '--wait', '--json'])
  expect({ ...failed, stdout: JSON.parse(failed.stdout) as Job }).toMatchObject({
    code: 1,
    stdout: { status: 'failed', error: { code: expect.any(String) } },
  })
  const { id } = JSON.parse(failed.stdout) as Job

  const listed = await cli(['jobs', '--state', 'failed', '--json'])
  expect((JSON.parse(listed.stdout) as { jobs: Job[] }).jobs.map((job) => job.id)).toEqual([id])
  const table = await cli(['jobs', '--limit', '1'])
  expect(table.stdout).toMatch(new RegExp(`^ID +STATE .*\n${id}  failed  .*\n$`))
  expect((await cli(['watch', id])).code).toBe(1)
  expect(await cli(['download', id])).toMatchObject({
    code: 1,
    stderr: `framefleet: The job ${id} has no output here.\n`,
  })
  expect((await cli(['logs', 'nosuch'])).stderr).toMatch(/^framefleet: id: no job has such an id: /)

  expect(await cli(['watch', 'no-such-job'])).toMatchObject({
    ...{ code: 1, stdout: '' },
    stderr: 'framefleet: There is no job no-such-job.\n',
  })
  const refused = await cli(['fleet', '--json'], { FRAMEFLEET_API_TOKEN: 'a-token-that-nobody-gave' })
  expect({ ...refused, stdout: JSON.parse(refused.stdout) as unknown }).toMatchObject({
    code: 3,
    stdout: { error: { code: 'unauthorized' } },
  })
  expect((await cli(['submit', clip, '--codec', 'divx'])).code).toBe(2)
  expect((await cli(['nonsense'])).code).toBe(2)
})

test('what docs/client.md shows is right by its types, and runs, in a project that has installed the package', async () => {
  const project = join(dir, 'project')
  await mkdir(project)
  await installPackage(project)
  const page = await readFile('docs/client.md', 'utf8')
  const shown = [...page.matchAll(/```ts\n(.*?)```/gs)].map(([, code = '']) => code)
  expect(shown.length).toBe(3)
  for (const [i, code] of shown.entries()) await writeFile(join(project, `example-${i}.ts`), code)
  checkTypes(project)
  await copyFile(clip, join(project, 'film.mp4'))
  const env = {
    XDG_STATE_HOME: join(dir, 'state'),
    ...{ FRAMEFLEET_API_URL: stack.stack.apiUrl, FRAMEFLEET_API_TOKEN: stack.stack.token },
  }
  const said: string[] = []
  for (const i of shown.keys()) {
    const ran = await run(process.execPath, [`example-${i}.ts`], { cwd: project, env })
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    said.push(ran.stdout)
  }
  expect(said[0]).toMatch(/^(\d+) of \1 bytes$(.*\n)*succeeded 48$/m)
  expect(said.slice(1)).toEqual(['host-not-allowed\n', expect.stringMatching(/^\[ \[ 0, '.+', [\d.]+ \]/)])
  expect((await stat(join(project, 'film.scored.mp4'))).size).toBeGreaterThan(5_000)
  // The command line comes with it, and reads nothing of a checkout.
  const bin = 'node_modules/framefleet/bin/framefleet.mjs'
  const listed = await run(process.execPath, [bin, 'jobs', '--limit', '1'], { cwd: project, env })
  expect(listed).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/succeeded/) })
})

test('a wait that is interrupted leaves a job that goes on, and says how to see it', async () => {
  const url = await stack.upload(clip)
  const plain = Object.entries(process.env).filter(([name]) => !name.startsWith('FRAMEFLEET_'))
  const waiting = spawn(process.execPath, [cliMain, 'submit', url, '--model', 'relief', '--wait'], {
    env: {
      ...Object.fromEntries(plain),
      ...{ FRAMEFLEET_API_URL: stack.stack.apiUrl, FRAMEFLEET_API_TOKEN: stack.stack.token },
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  waiting.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    // Its id is what it says first.
    if (said === '') waiting.kill('SIGINT')
    said += chunk
  })
  const [code] = (await once(waiting, 'close')) as [number]
  const id = /^job ([\w-]+)$/m.exec(said)?.[1] ?? ''
  expect({ code, said }).toEqual({
    code: 130,
    said: expect.stringMatching(new RegExp(`^the job goes on: framefleet watch ${id}\n$`, 'm')),
  })
  const out = join(dir, 'whole.mp4')
  await stack.ends(id)
  expect((await cli(['download', id, '--out', out])).code).toBe(0)
})

test('who reads only the first line of many is no failure', async () => {
  const child = spawn(
    'bash',
    ['-c', '"$0" "$1" jobs | true; echo ${PIPESTATUS[0]}', process.execPath, cliMain],
    {
      env: {
        PATH: process.env['PATH'],
        ...{ FRAMEFLEET_API_URL: stack.stack.apiUrl, FRAMEFLEET_API_TOKEN: stack.stack.token },
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  expect({ out, err }).toEqual({ out: '0\n', err: '' })
})

test('on a terminal a job has a bar', async () => {
  const url = await stack.upload(clip)
  const command = `${process.execPath} src/cli/main.ts submit ${url} --model passthrough --wait`
  const shown = spawnSync('script', ['-qec', command, '/dev/null'], {
    env: {
      ...{ PATH: process.env['PATH'], TERM: 'xterm' },
      ...{ FRAMEFLEET_API_URL: stack.stack.apiUrl, FRAMEFLEET_API_TOKEN: stack.stack.token },
    },
    encoding: 'utf8',
  })
  expect(shown.status).toBe(0)
  expect(shown.stdout).toMatch(/█+.*48\/48 frames/)
})

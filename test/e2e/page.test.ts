import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { renderSampleClip } from '../../src/cli/sample-clip.ts'
import { seriousFindings, startBrowser } from '../support/browser.ts'
import { makeClip } from '../support/clips.ts'
import { colourManifest, colourModel } from '../support/score-models.ts'
import { picture } from '../support/pictures.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

// One system and one browser for all: each test goes on where the one before has ended.
const dir = tempDir()
const unwanted: string[] = []
let stack: TestStack
let browser: Browser
let page: Page
let done = ''
let failed = ''
let images = ''
let scores = ''

beforeAll(async () => {
  const env = { FRAMEFLEET_WORKER_HOUR_PRICE: '0.5' }
  ;[stack, browser] = await Promise.all([
    startTestStack({ autoscale: { min: 1, max: 2 }, env }),
    startBrowser(),
  ])
  page = await browser.newPage({ viewport: { width: 1600, height: 1000 } })
  page.on('pageerror', (error) => unwanted.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error') unwanted.push(`${message.text()} ${message.location().url}`)
  })
})
afterAll(async () => {
  await browser?.close()
  await stack?.stop()
})

const at = (hash: string) => `${stack.stack.apiUrl}/${hash}`
const row = (name: string) => page.locator('.job', { hasText: name })

/** Chooses a file and a model by its picture, and submits; answers the job's id. */
async function submit(path: string, model: string): Promise<string> {
  // Whatever was chosen before, and stayed.
  await page.locator('#source-file').setInputFiles(path)
  await page.getByRole('radio', { name: model }).check()
  await page.getByRole('button', { name: 'Submit' }).click()
  const outcome = page.locator('.outcome a, .outcome .problem')
  await outcome.waitFor()
  expect(await outcome.textContent()).toBe('Watch it')
  return (await outcome.getAttribute('href'))?.split('/').at(-1) ?? ''
}

/** What a text says, each time it says something else, until it says what is waited for. */
async function follow(read: () => Promise<string | null>, until: RegExp): Promise<string[]> {
  const said: string[] = []
  for (;;) {
    const now = (await read()) ?? ''
    if (said.at(-1) !== now) said.push(now)
    if (until.test(now)) return said
    await page.waitForTimeout(50)
  }
}

test('a wrong token is refused in a sentence; the link that `up` prints signs in and leaves no token in the address', async () => {
  const stranger = await browser.newPage()
  await stranger.goto(at(''))
  await stranger.getByLabel('Token').fill('not-a-token-of-this-system')
  await stranger.getByRole('button', { name: 'Sign in' }).click()
  await stranger.getByRole('alert').waitFor()
  expect(await stranger.getByRole('alert').textContent()).toMatch(/token is needed/)
  await stranger.close()

  await page.goto(at(`#token=${stack.stack.token}`))
  await page.getByRole('heading', { name: 'Jobs', exact: true }).waitFor()
  expect(page.url()).toBe(at(''))
})

test('a link puts no other token in place of the one somebody has, unless they say so; nor does it ask for what is no job', async () => {
  const kept = async () => await page.evaluate<string>("sessionStorage.getItem('framefleet-token')")
  const ask = page.getByRole('dialog')
  for (const way of ['No, go back', 'Escape']) {
    await page.goto(at('#token=somebody-elses'))
    await ask.waitFor()
    expect([page.url(), await kept()]).toEqual([at(''), stack.stack.token])
    if (way === 'Escape') await page.keyboard.press(way)
    else await ask.getByRole('button', { name: way }).click()
    await ask.waitFor({ state: 'detached' })
    expect(await kept()).toBe(stack.stack.token)
  }
  // The same one is no question.
  await page.goto(at(`#token=${stack.stack.token}`))
  await page.getByRole('heading', { name: 'Jobs', exact: true }).waitFor()
  expect([page.url(), await ask.count()]).toEqual([at(''), 0])

  const asked: string[] = []
  const note = (request: { url(): string }) => void asked.push(new URL(request.url()).pathname)
  const toFleet = async () => {
    await page.goto(at('#/fleet'))
    await page.getByRole('heading', { name: 'Fleet', exact: true }).waitFor()
  }
  await toFleet()
  page.on('request', note)
  for (const id of ['..%2f..%2fqueues', '%2e%2e', '%', 'x?limit=1']) {
    await page.goto(at(`#/jobs/${id}`))
    await page.getByText('There is no job').waitFor()
    await toFleet()
  }
  page.off('request', note)
  await page.goto(at('#/'))
  // The form of the jobs outlives their view: the models' pictures may still be on their way to it.
  expect(asked.filter((path) => !/^\/(v1\/(fleet|models)|page)(\/|$)/.test(path))).toEqual([])
})

test('the page is small, asks nobody else for anything, and is served anew only when it has changed', async () => {
  const fresh = await browser.newPage()
  const asked: { url: string; bytes: number }[] = []
  fresh.on('response', (response) => {
    const url = response.url()
    if (!/\/v1\/|^blob:/.test(url)) {
      asked.push({ url, bytes: Number(response.headers()['content-length']) })
    }
  })
  await fresh.goto(at(`#token=${stack.stack.token}`))
  await fresh.getByText('Live').waitFor()
  await fresh.getByRole('radio').first().waitFor()
  const bytes = asked.reduce((sum, each) => sum + each.bytes, 0)
  expect(asked.length).toBeGreaterThan(5)
  expect(bytes).toBeGreaterThan(5_000)
  expect(bytes).toBeLessThan(150_000)
  expect(asked.filter(({ url }) => !url.startsWith(stack.stack.apiUrl))).toEqual([])
  await fresh.close()

  const plain = await Promise.all(asked.map(async ({ url }) => await fetch(url)))
  const sizes = await Promise.all(plain.map(async (answer) => (await answer.arrayBuffer()).byteLength))
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(150_000)
  const [first] = plain
  const policy = first?.headers.get('content-security-policy') ?? ''
  expect(policy).toContain("default-src 'none'")
  expect(policy).not.toContain('unsafe')
  const etag = first?.headers.get('etag') ?? ''
  expect((await fetch(at(''), { headers: { 'if-none-match': etag } })).status).toBe(304)
})

test('a file goes straight to storage, and its job can be watched from the first frame to the last', async () => {
  const clip = join(dir, 'mountains at dusk.mp4')
  await renderSampleClip(clip, dir, 3)
  const sent: string[] = []
  page.on('request', (request) => {
    if (request.method() === 'PUT') sent.push(request.url())
  })
  done = await submit(clip, 'The Starry Night')
  expect(sent.length).toBeGreaterThan(1)
  expect(sent.every((url) => !url.startsWith(stack.stack.apiUrl))).toBe(true)

  const entry = row('mountains')
  const said = await follow(async () => await entry.locator('.figures').textContent(), /90 frames · in/)
  const progress = said.flatMap((text) => /([\d,]+) of 90 frames/.exec(text)?.[1] ?? []).map(Number)
  expect(said.length).toBeGreaterThan(1)
  expect(progress).toEqual(progress.toSorted((a, b) => a - b))
  expect(said.at(-1)).toMatch(/cost 0\.\d+/)
  expect(await entry.locator('.badge').textContent()).toBe('Done')
  // Somebody who does not see it hears of it.
  expect(await page.getByRole('status').textContent()).toMatch(/mountains.*: Done\./)
})

test('a large file: a block that fails is sent again, the upload can be held, and broken off', async () => {
  const film = await makeClip({ path: join(dir, 'film.mp4'), frames: 10 })
  // A box that players skip: five blocks to send.
  const room = Buffer.alloc(17 << 18)
  room.writeUInt32BE(room.length)
  room.write('free', 4)
  await appendFile(film, room)
  const sent: string[] = []
  let brought = 0
  let letThrough = () => {}
  let held = new Promise<void>((resolve) => (letThrough = resolve))
  await page.route(/comp=block&/, async (route) => {
    const block = new URL(route.request().url()).searchParams.get('blockid') ?? ''
    const isFirst = brought === 0 && sent.length === 0
    sent.push(block)
    await held
    // The first one fails the first time.
    if (isFirst) await route.fulfill({ status: 503, headers: { 'access-control-allow-origin': '*' } })
    // A page that has broken it off hears nothing any more.
    else await route.continue().catch(() => {})
  })
  const tell = async () => (await page.locator('.uploading .figures').textContent()) ?? ''

  await page.getByLabel('Choose a video file').setInputFiles(film)
  await page.getByRole('radio', { name: 'Pass-through' }).check()
  await page.getByRole('button', { name: 'Submit' }).click()
  await expect.poll(() => sent.length, { timeout: 30_000 }).toBeGreaterThan(0)
  await page.getByRole('button', { name: 'Pause' }).click()
  letThrough()
  await expect.poll(tell, { timeout: 30_000 }).toMatch(/^3\.1 MB/)
  expect(sent.length).toBe(4)
  await page.getByRole('button', { name: 'Go on' }).click()
  await page.getByRole('link', { name: 'Watch it' }).waitFor()
  expect({ sent: sent.length, blocks: new Set(sent).size }).toEqual({ sent: 6, blocks: 5 })
  // A browser notes what failed.
  expect(unwanted.splice(0)).toEqual([expect.stringContaining('503')])

  brought = (await stack.namesUnder('uploads/')).length
  expect(brought).toBe(2)
  held = new Promise<void>((resolve) => (letThrough = resolve))
  sent.length = 0
  await page.getByLabel('Choose a video file').setInputFiles(film)
  await page.getByRole('button', { name: 'Submit' }).click()
  await expect.poll(() => sent.length, { timeout: 30_000 }).toBeGreaterThan(0)
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('Upload cancelled.').waitFor()
  letThrough()
  await page.unroute(/comp=block&/)
  expect(await stack.namesUnder('uploads/')).toHaveLength(brought)
})

test('what was made: frames before and after, by mouse and by keys; the video plays; who had which batch', async () => {
  await page.goto(at(`#/jobs/${done}`))
  const slider = page.getByRole('slider', { name: 'How much of the original shows' })
  await slider.waitFor()
  const original = page.getByRole('img', { name: 'Frame 0 before' })
  await original.waitFor()
  const widths = async () =>
    await page
      .locator('.compare img')
      .evaluateAll((images) => images.map((image) => ('naturalWidth' in image ? image.naturalWidth : 0)))
  await expect.poll(widths).toEqual([640, 640])
  const shows = async () =>
    await page.evaluate<string>("getComputedStyle(document.querySelector('.compare .before')).clipPath")
  const half = await shows()
  const box = await slider.boundingBox()
  if (!box) throw new Error('the slider is not to be seen')
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width * 0.8, box.y + box.height / 2, { steps: 5 })
  await page.mouse.up()
  const dragged = await shows()
  expect(dragged).not.toBe(half)
  await slider.press('Home')
  expect(await slider.getAttribute('aria-valuetext')).toBe('0 % original')
  expect(await shows()).not.toBe(dragged)
  const last = page.getByRole('button', { name: /^Frame \d/ }).last()
  await last.click()
  await expect.poll(async () => await last.getAttribute('aria-pressed')).toBe('true')
  await page.getByRole('img', { name: `${await last.textContent()} after` }).waitFor()

  const video = page.getByLabel('The scored video')
  await video.waitFor()
  await page.evaluate(
    "(async () => { const video = document.querySelector('video'); video.muted = true; await video.play() })()",
  )
  const played = async () => await page.evaluate<number>("document.querySelector('video').currentTime")
  await expect.poll(played, { timeout: 30_000 }).toBeGreaterThan(0.2)
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'Download the video' }).click(),
  ])
  expect(download.suggestedFilename()).toBe('mountains-at-dusk.scored.mp4')
  expect((await readFile(await download.path())).length).toBeGreaterThan(10_000)

  await page.getByText('Every batch as a table').click()
  const batches = page.getByRole('region', { name: 'Batches' }).locator('tbody tr')
  await batches.first().waitFor()
  expect(await page.locator('.track .slot.done').count()).toBe(await batches.count())
  expect(await batches.first().textContent()).toMatch(/0–\d+done.*local-/)
  expect(await page.locator('.report dl').textContent()).toMatch(/Frames90.*Worker time/)
})

test('a job that can not be done says why, and what to do', async () => {
  const letter = join(dir, 'letter.mp4')
  await writeFile(letter, 'dear sir')
  await page.goto(at('#/'))
  failed = await submit(letter, 'Relief')
  await page.getByRole('link', { name: 'Watch it' }).click()
  const alert = page.getByRole('alert')
  await alert.waitFor()
  expect(await alert.textContent()).toMatch(/not a video.*Choose a file that ffmpeg can read/)
  await page.getByRole('button', { name: 'Run it again' }).waitFor()
  await page.getByText('It was never planned.').waitFor()
})

test('what the API refuses is said where it was asked for', async () => {
  await page.goto(at('#/'))
  await page.getByLabel('Video in storage: its URL').fill('https://elsewhere.example/film.mp4')
  unwanted.length = 0
  await page.getByRole('button', { name: 'Submit' }).click()
  const alert = page.getByRole('alert')
  await alert.waitFor()
  expect(await alert.textContent()).toMatch(/elsewhere\.example/)
  // A browser notes every refusal; of others there are none.
  expect(unwanted.splice(0)).toEqual([expect.stringContaining('422')])
  await page.getByLabel('Video in storage: its URL').fill('')
})

test('a job is cancelled only when somebody says so twice, and can be run again', async () => {
  const long = await makeClip({ path: join(dir, 'long.mp4'), frames: 1_500, size: '640x360' })
  const id = await submit(long, 'Composition VII')
  await page.goto(at(`#/jobs/${id}`))
  await page.locator('.badge.scoring').waitFor()
  const bar = page.getByRole('progressbar', { name: 'Progress' })
  const share = async () => await bar.evaluate((element) => ('value' in element ? element.value : 0))
  await expect.poll(share, { timeout: 60_000 }).toBeGreaterThan(0)
  const cancel = page.getByRole('button', { name: 'Cancel the job' })
  await cancel.click()
  await page.getByRole('button', { name: 'No, go back' }).click()
  expect((await stack.api.job(id)).status).toBe('scoring')
  await cancel.click()
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel the job' }).click()
  await page.locator('.badge.cancelled').waitFor()
  await page.getByRole('button', { name: 'Run it again' }).click()
  await page.locator('.badge.scoring').waitFor()
  await stack.api.cancel(id)
  await stack.ends(id)
})

test('the fleet: who is there, why so many, and what people set', async () => {
  await page.goto(at('#/fleet'))
  const decided = page.getByRole('region', { name: 'What the autoscaler decided' })
  // It has wanted more for the long job than for none.
  await expect
    .poll(async () => await decided.getByRole('listitem').count(), { timeout: 30_000 })
    .toBeGreaterThan(1)
  expect(await decided.textContent()).toMatch(/of work in \d+ s/)
  await page
    .getByRole('rowheader', { name: /^local-/ })
    .first()
    .waitFor()

  await page.getByLabel('Never fewer than').fill('2')
  await page.getByLabel('Never more than').fill('1')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('alert').waitFor()
  expect(await page.getByRole('alert').textContent()).toMatch(/min must not be above max/)
  unwanted.length = 0
  await page.getByLabel('Never more than').fill('3')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Saved').waitFor()
  expect((await stack.api.fleet()).settings).toMatchObject({ min: 2, max: 3, size: null, paused: false })
})

test('a job without a video: what it made, and which of its images failed; scores to be fetched', async () => {
  const file = await picture({ width: 160, height: 120 }).png().toBuffer()
  for (const [i, name] of ['a.png', 'b.png', 'broken.png', 'c.png'].entries())
    await stack.media.write(`holiday/${name}`, i === 2 ? file.subarray(0, 200) : file)
  images = (await stack.api.submit({ source: { images: { prefix: 'holiday/' } }, model: 'relief' })).id
  expect(await stack.ends(images)).toMatchObject({ status: 'succeeded' })
  await page.goto(at(`#/jobs/${images}`))
  await page.getByRole('heading', { name: 'holiday/' }).waitFor()
  await page.locator('.report').waitFor()
  const shown = page.locator('.pictures img')
  const widths = async () =>
    await shown.evaluateAll((all) => all.map((image) => ('naturalWidth' in image ? image.naturalWidth : 0)))
  await expect.poll(widths).toEqual([160, 160, 160])
  expect(await page.locator('.report dl').textContent()).toMatch(/Images4Failed1.*images\/s/)
  await page.getByText('What failed (1)').click()
  expect(await page.locator('.report li').first().textContent()).toMatch(/^broken\.png: It can't be read/)
  // Nothing is said of frames, and nothing is played or compared.
  const main = (await page.locator('main').textContent()) ?? ''
  expect(main).toMatch(/4 images · in/)
  expect(main).not.toMatch(/frame|video/i)

  await stack.addModel(colourModel(), colourManifest)
  const film = await makeClip({ path: join(dir, 'colours.mp4'), frames: 12 })
  scores = await stack.submit(film, { model: 'colours' })
  expect(await stack.ends(scores)).toMatchObject({ status: 'succeeded' })
  await page.goto(at(`#/jobs/${scores}`))
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'Download the scores' }).click(),
  ])
  expect(download.suggestedFilename()).toBe('colours.scored.ndjson')
  expect((await readFile(await download.path(), 'utf8')).trim().split('\n')).toHaveLength(12)
  expect(await page.locator('video, .compare').count()).toBe(0)

  // Where it is chosen nothing is asked of a video that there will not be; nor is it what stands first.
  await page.goto(at('#/'))
  const model = page.getByRole('radio', { name: 'colours' })
  await model.waitFor()
  const asksCodec = async () =>
    await page.evaluate<boolean>("!document.querySelector('#codec').closest('[hidden]')")
  expect([await model.isChecked(), await asksCodec()]).toEqual([false, true])
  await model.check()
  expect(await asksCodec()).toBe(false)
})

test('schedules: when each runs, what became of its runs, and a run by hand', async () => {
  const { source } = await stack.api.job(done)
  await stack.api.setSchedule('nightly', {
    ...{ cron: '0 3 * * *', timezone: 'Europe/Berlin' },
    job: { source: { url: source }, model: 'passthrough' },
  })
  await page.goto(at('#/schedules'))
  const nightly = page.getByRole('row', { name: 'nightly' })
  await nightly.waitFor()
  expect(await nightly.textContent()).toMatch(/0 3 \* \* \* Europe\/Berlin.*none yet.*skipped/)
  await page.getByRole('button', { name: 'Run now: nightly' }).click()
  const runs = page.getByRole('region', { name: 'Runs of nightly' })
  await runs.getByRole('link', { name: 'started' }).waitFor()
  expect(await runs.textContent()).toMatch(/By hand/)
  const [run] = (await stack.api.schedule('nightly')).runs
  expect(await stack.ends(run?.jobId ?? '')).toMatchObject({ status: 'succeeded' })
  await runs.getByRole('link', { name: 'started' }).click()
  await page.getByRole('heading', { level: 1 }).waitFor()
  expect(page.url()).toBe(at(`#/jobs/${run?.jobId}`))
})

test('everybody can use it: nothing serious on any view, in either theme, on a phone as on a wide screen', async () => {
  const views = {
    ...{ jobs: '#/', job: `#/jobs/${done}`, failure: `#/jobs/${failed}`, fleet: '#/fleet' },
    schedules: '#/schedules',
    images: `#/jobs/${images}`,
    scores: `#/jobs/${scores}`,
  }
  const ready = {
    jobs: '.job',
    job: '.report',
    failure: '.problem',
    fleet: '.decisions li',
    schedules: 'tbody time',
    images: '.report',
    scores: '.report',
  }
  const found: string[] = []
  const manners = [
    { colorScheme: 'light', width: 1_600 },
    { colorScheme: 'dark', width: 360 },
  ] as const
  for (const { colorScheme, width } of manners) {
    await page.emulateMedia({ colorScheme })
    await page.setViewportSize({ width, height: 900 })
    for (const [name, hash] of Object.entries(views)) {
      await page.goto('about:blank')
      await page.goto(at(hash))
      await page
        .locator(ready[name as keyof typeof ready])
        .first()
        .waitFor()
      const over = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth')
      if (over > 0) found.push(`${name} at ${width}: ${over} px too wide`)
      found.push(...(await seriousFindings(page)).map((each) => `${name}, ${colorScheme}, ${width}: ${each}`))
    }
  }
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByLabel('Token').waitFor()
  found.push(...(await seriousFindings(page)).map((each) => `sign-in: ${each}`))
  expect(found).toEqual([])
})

test('nobody had to look into the console', () => {
  expect(unwanted).toEqual([])
})

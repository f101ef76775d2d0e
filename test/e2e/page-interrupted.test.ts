import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Codec, Container, checkWish } from '../../src/shared/encoding.ts'
import { startBrowser } from '../support/browser.ts'
import { makeClip } from '../support/clips.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

// What people do besides, and what is cut off, at the page.
const dir = tempDir()
let stack: TestStack
let browser: Browser
let page: Page
let clip = ''
let done = ''

beforeAll(async () => {
  ;[stack, browser] = await Promise.all([startTestStack({ workers: 1 }), startBrowser()])
  clip = await makeClip({ path: join(dir, 'clip.mp4'), frames: 30 })
  page = await open()
})
afterAll(async () => {
  await browser?.close()
  await stack?.stop()
})

const at = (hash: string) => `${stack.stack.apiUrl}/${hash}`
const patient = { timeout: 30_000 }
const link = (name: string) => page.getByRole('link', { name, exact: true })

/** A page that is signed in; with a clock that can be put forward. */
async function open(hash = '#/', clock = false): Promise<Page> {
  const fresh = await browser.newPage()
  if (clock) await fresh.clock.install()
  await fresh.goto(at(`#token=${stack.stack.token}`))
  await fresh.goto(at(hash))
  return fresh
}

/** Sends a signal to a process of the system. */
function tell(name: string, signal: NodeJS.Signals): void {
  const { roles, services } = stack.stack
  const its = [...roles(), ...services()].find((each) => each.name.startsWith(name))
  if (!its?.process.kill(signal)) throw new Error(`there is no ${name}`)
}

/** Puts a file into the form, without submitting it. */
async function choose(path: string): Promise<void> {
  await page.getByLabel('Choose a video file').setInputFiles(path)
  await page.getByRole('radio', { name: 'Pass-through' }).check()
}
const submit = async () => await page.getByRole('button', { name: 'Submit' }).click()

/** What a browser does by itself, at the end of a page, with a window before somebody's eyes. */
const asksBeforeLeaving = async () =>
  await page.evaluate("!dispatchEvent(new Event('beforeunload', { cancelable: true }))")

test('an upload goes on while somebody looks at other views, skips to the content, or has second thoughts about leaving', async () => {
  let letThrough = () => {}
  const held = new Promise<void>((resolve) => (letThrough = resolve))
  await page.route(/comp=block&/, async (route) => {
    await held
    await route.continue()
  })
  await choose(clip)
  await submit()
  await page.getByRole('button', { name: 'Pause' }).waitFor()
  await page.evaluate("document.querySelector('.skip').focus()")
  await page.keyboard.press('Enter')
  expect(await page.evaluate('document.activeElement.id')).toBe('main')
  expect(page.url()).toBe(at('#/'))
  await link('Fleet').click()
  await page.getByRole('heading', { name: 'Fleet', exact: true }).waitFor()
  expect(await asksBeforeLeaving()).toBe(true)
  await link('Jobs').click()
  await page.getByRole('progressbar', { name: 'Upload of clip.mp4' }).waitFor()
  await link('Fleet').click()
  letThrough()
  await page.getByText('The job was submitted.').waitFor({ state: 'attached' })
  await link('Jobs').click()
  done = (await link('Watch it').getAttribute('href'))?.split('/').at(-1) ?? ''
  expect(await asksBeforeLeaving()).toBe(false)
  await page.unroute(/comp=block&/)
})

test('what the API would refuse is said before a byte is sent, in its own words', async () => {
  await page.getByText('Options').click()
  await page.getByLabel('Video in storage: its URL').fill('https://elsewhere.example/film.mp4')
  for (const container of Container.options) {
    for (const codec of Codec.options) {
      await page.getByLabel('File type').selectOption(container)
      await page.getByLabel('Codec', { exact: true }).selectOption(codec)
      await submit()
      const alert = page.locator('.outcome .problem')
      await alert.waitFor()
      let expected: unknown = expect.stringContaining('elsewhere.example')
      try {
        checkWish({ container, codec })
      } catch (error) {
        expected = (error as Error).message
      }
      expect(await alert.textContent(), `${codec} in ${container}`).toEqual(expected)
    }
  }
  await page.getByLabel('File type').selectOption('')
  await page.getByLabel('Codec', { exact: true }).selectOption('')
})

test('a request whose answer was lost is sent again without the video, and makes one job', async () => {
  const sent: string[] = []
  const jobs: string[] = []
  page.on('request', (request) => {
    if (request.method() === 'PUT') sent.push(request.url())
  })
  await page.route('**/v1/jobs', async (route) => {
    const answer = await route.fetch()
    jobs.push(((await answer.json()) as { id: string }).id)
    if (jobs.length === 1) await route.abort()
    else await route.fulfill({ response: answer })
  })
  await choose(clip)
  await submit()
  await page.locator('.outcome .problem').waitFor()
  const before = sent.length
  expect(before).toBeGreaterThan(0)
  await submit()
  await link('Watch it').waitFor()
  expect(sent.length).toBe(before)
  expect(jobs).toEqual([jobs[0], jobs[0]])
  await stack.ends(jobs[0] ?? '')
  await page.unroute('**/v1/jobs')
})

test('a page that nobody sees holds no connection', async () => {
  const other = await open()
  await other.getByText('Live').waitFor()
  const see = async (hidden: boolean) =>
    await other.evaluate(
      `Object.defineProperty(document, 'hidden', { configurable: true, get: () => ${hidden} }); document.dispatchEvent(new Event('visibilitychange'))`,
    )
  const [left] = await Promise.all([other.waitForEvent('requestfailed'), see(true)])
  expect(left.url()).toBe(at('v1/stream'))
  await other.getByText('Connecting again').waitFor()
  await Promise.all([other.waitForRequest('**/v1/stream'), see(false)])
  await other.getByText('Live').waitFor()
  await other.close()
})

test('live is what has told something; where nothing is heard any more, the page says so, and comes again', async () => {
  tell('redis', 'SIGSTOP')
  const other = await browser.newPage()
  await other.clock.install()
  const [answer] = await Promise.all([
    other.waitForResponse('**/v1/stream'),
    other.goto(at(`#token=${stack.stack.token}`)),
  ])
  expect(answer.status()).toBe(200)
  await other.getByRole('radio').first().waitFor()
  expect(await other.locator('.live').textContent()).toBe('Connecting …')
  tell('redis', 'SIGCONT')
  await other.getByText('Live').waitFor()

  tell('producer', 'SIGSTOP')
  await other.clock.fastForward(45_000)
  await other.getByRole('alert').waitFor()
  expect(await other.getByRole('alert').textContent()).toMatch(/said nothing for a while/)
  expect(await other.locator('.live').textContent()).toBe('Connecting again …')
  tell('producer', 'SIGCONT')
  await other.clock.fastForward(10_000)
  await other.getByText('Live').waitFor()
  expect(await other.getByRole('alert').count()).toBe(0)
  await other.close()
})

test('trouble that lasts is told once', async () => {
  const other = await open('#/fleet', true)
  await other.getByRole('heading', { name: 'Fleet', exact: true }).waitFor()
  await other.evaluate(
    `window.told = 0; new MutationObserver((all) => { for (const { addedNodes } of all) for (const node of addedNodes) if (node.role === 'alert') window.told++ }).observe(document.body, { childList: true, subtree: true })`,
  )
  await other.route('**/v1/fleet', async (route) => await route.abort())
  for (let turn = 0; turn < 3; turn++) {
    await Promise.all([other.waitForEvent('requestfailed'), other.clock.fastForward(2_100)])
    await other.getByRole('alert').waitFor()
  }
  expect(await other.evaluate('window.told')).toBe(1)
  await other.close()
})

test('a link with a token that is none, or is no code, says why it signs nobody in', async () => {
  for (const [hash, says] of [
    ['#token=of-yesterday', /token/],
    ['#token=50%', /token/],
  ] as const) {
    const other = await browser.newPage()
    await other.goto(at(hash))
    const alert = other.getByRole('alert')
    await alert.waitFor()
    await other.waitForLoadState('networkidle')
    expect(await alert.textContent()).toMatch(says)
    await other.close()
  }
  await page.goto(at('#/jobs/%'))
  await page.getByText('There is no job %.').waitFor()
})

test('what is run again is watched again', async () => {
  const letter = join(dir, 'letter.mp4')
  await writeFile(letter, 'dear sir')
  const id = await stack.submit(letter)
  await stack.ends(id)
  const looks = async () => await page.waitForResponse(`**/v1/jobs/${id}/batches?*`)
  // Once before it is known that it has ended, and twice after.
  const first = looks()
  await page.goto(at(`#/jobs/${id}`))
  await first
  await looks()
  await looks()
  await page.locator('.report').waitFor()
  await page.evaluate("document.querySelector('.report').classList.add('of-before')")
  await Promise.all([looks(), page.getByRole('button', { name: 'Run it again' }).click()])
  await page.locator('.report:not(.of-before)').waitFor(patient)
  expect(await page.locator('.report.of-before').count()).toBe(0)
})

test('a video that can not be fetched is no matter of its codec, and is tried again', async () => {
  await stack.ends(done)
  const files = /\/output/
  await page.route(files, async (route) => await route.abort())
  await page.goto(at(`#/jobs/${done}`))
  await page.getByText('The video can not be fetched.').waitFor()
  await page.unroute(files)
  await page.getByRole('button', { name: 'Try again' }).click()
  await expect
    .poll(async () => await page.evaluate("document.querySelector('video')?.readyState ?? 0"), patient)
    .toBeGreaterThan(0)
})

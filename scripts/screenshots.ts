// Takes the pictures of the page that the documents show, of a real system at work: docs/screenshots/*.jpg, at both widths
// and in both themes.   npm run screenshots
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { createClient } from '../src/client/client.ts'
import { startStack } from '../src/cli/embedded-stack.ts'
import { uploadVideo } from '../src/cli/local-files.ts'
import { renderSampleClip } from '../src/cli/sample-clip.ts'
import { connectAccount, createBlobStore } from '../src/shared/blob-store.ts'
import { startBrowser } from '../test/support/browser.ts'

const folder = new URL('../docs/screenshots/', import.meta.url)
const sizes = { wide: { width: 1600, height: 1000 }, narrow: { width: 360, height: 780 } }
const themes = ['light', 'dark'] as const

const dir = await mkdtemp(join(tmpdir(), 'framefleet-screenshots-'))
const env = { ...process.env, FRAMEFLEET_WORKER_HOUR_PRICE: '0.09' }
const stack = await startStack({
  ...{ dir, port: 0, env, restart: true, workers: 2 },
  autoscale: { min: 1, max: 2 },
})
const browser = await startBrowser()
try {
  await takeAll(browser)
} finally {
  await browser.close()
  await stack.stop()
  await rm(dir, { recursive: true, force: true })
}

async function takeAll(from: Browser): Promise<void> {
  const client = createClient({ url: stack.apiUrl, token: stack.token })
  const media = createBlobStore(connectAccount(stack.env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''), 'media')
  const bring = async (name: string, seconds: number) => {
    await renderSampleClip(join(dir, name), dir, seconds)
    return await uploadVideo(media, join(dir, name))
  }
  const letter = join(dir, 'letter.mp4')
  await writeFile(letter, 'dear sir')
  const batch = { frames: 12 }
  const done = await client.submit({
    source: { url: await bring('mountains-at-dusk.mp4', 4) },
    ...{ model: 'starry-night', batch },
  })
  const failed = await client.submit({ source: { url: await uploadVideo(media, letter) }, model: 'relief' })
  await client.waitFor(done.id)
  await client.waitFor(failed.id)
  const [long, longer] = [await bring('evening-ride.mp4', 20), await bring('long-way-home.mp4', 30)]
  await client.submit({ source: { url: long }, model: 'great-wave', batch })
  await client.submit({ source: { url: longer }, model: 'composition-vii', batch })

  await mkdir(folder, { recursive: true })
  for (const [width, viewport] of Object.entries(sizes)) {
    for (const colorScheme of themes) {
      const page = await from.newPage({ viewport, colorScheme, reducedMotion: 'reduce' })
      const take = async (name: string) =>
        await page.screenshot({
          path: join(folder.pathname, `${name}-${width}-${colorScheme}.jpg`),
          ...{ type: 'jpeg', quality: 70, fullPage: width === 'narrow' },
        })
      await page.goto(`${stack.apiUrl}/#token=${stack.token}`)
      await page.locator('.badge.scoring').first().waitFor()
      await page.locator('.model').first().waitFor()
      await pictures(page)
      await take('jobs')
      await page.goto(`${stack.apiUrl}/#/jobs/${done.id}`)
      await page.locator('.track .slot').first().waitFor()
      await page.locator('.report').waitFor()
      await pictures(page)
      // Chromium's player goes on turning its wheel for a moment.
      await page.waitForTimeout(1_000)
      await take('job')
      await page.goto(`${stack.apiUrl}/#/fleet`)
      await page.locator('.badge.busy').first().waitFor()
      await take('fleet')
      await page.close()
    }
  }
}

/** Until all pictures and videos that are there can be seen. */
async function pictures(page: Page): Promise<void> {
  const shown = `
    [...document.querySelectorAll('.model .picture')].every((place) => place.querySelector('img')) &&
    [...document.images].every((image) => image.complete && image.naturalWidth > 0) &&
    [...document.querySelectorAll('video')].every((video) => video.readyState >= 2 && video.poster && video.networkState !== 2)`
  // Not by waitForFunction: the page's policy lets nobody evaluate texts in it.
  while (!(await page.evaluate(shown))) await page.waitForTimeout(50)
}

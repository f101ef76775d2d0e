import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { type Browser, type Page, chromium } from 'playwright-core'

/** The system's own Chromium, which the set-up installs: nothing is downloaded. */
export async function startBrowser(): Promise<Browser> {
  const candidates = (process.env['PATH'] ?? '')
    .split(':')
    .flatMap((dir) => ['chromium', 'chromium-browser'].map((name) => `${dir}/${name}`))
  // Containers let nobody make namespaces, which the sandbox is made of; pages here are our own.
  const args = ['--no-sandbox', '--disable-dev-shm-usage']
  let failed: unknown
  for (const executablePath of candidates) {
    try {
      return await chromium.launch({ executablePath, args })
    } catch (error) {
      if (!/doesn't exist|ENOENT/.test(String(error))) failed = error
    }
  }
  throw failed ?? new Error('there is no Chromium on the PATH; scripts/setup.mjs installs it for the tests')
}

type Finding = { id: string; impact: string | null; help: string; nodes: { html: string; any: unknown[] }[] }

/** What axe finds that is serious or worse, in words. */
export async function seriousFindings(page: Page): Promise<string[]> {
  const source = await readFile(fileURLToPath(import.meta.resolve('axe-core')), 'utf8')
  // By the debugger, which the page's policy has no say in.
  await page.evaluate(source)
  const found = await page.evaluate<Finding[]>(
    `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations)`,
  )
  return found
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`,
    )
}

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { startFakeIdentity } from '../support/fake-identity.ts'
import { tempDir } from '../support/temp-dir.ts'
import { closedAfterEach } from '../support/use-services.ts'

const run = promisify(execFile)
const open = closedAfterEach()
const dir = tempDir()

/** What takes traces for Application Insights, which can't be here: it keeps what was sent, and by whom. */
async function startIngestion() {
  const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')]
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert],
  ])
  const sent: { authorization: string | undefined; items: unknown[] }[] = []
  const server = createServer({ cert: await readFile(cert), key: await readFile(key) }, (request, answer) => {
    void buffer(request).then((body) => {
      const plain = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
      const text = plain.toString('utf8').trim()
      const items = (
        text.startsWith('[') ? JSON.parse(text) : text.split('\n').map((line) => JSON.parse(line))
      ) as unknown[]
      sent.push({ authorization: request.headers.authorization, items })
      const said = { itemsReceived: items.length, itemsAccepted: items.length, errors: [] }
      answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(said))
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  open.push({
    close: async () => {
      server.closeAllConnections()
      server.close()
    },
  })
  return { cert, sent, url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/` }
}

test('traces go to Application Insights by who this process is, with no key', async () => {
  const { cert, sent, url } = await startIngestion()
  const identity = await startFakeIdentity({ lifeSeconds: 3_600, resource: 'https://monitor.azure.com' })
  open.push(identity)
  const insights = `InstrumentationKey=00000000-0000-4000-8000-000000000001;IngestionEndpoint=${url}`
  const script = `
    import { createLogger } from './src/shared/log.ts'
    import { startTracing } from './src/shared/tracing.ts'
    const settings = {
      OTEL_EXPORTER_OTLP_ENDPOINT: '',
      APPLICATIONINSIGHTS_CONNECTION_STRING: process.env.INSIGHTS,
      FRAMEFLEET_TRACE_RATIO: 1,
    }
    const tracing = await startTracing('producer', settings, createLogger('producer', 'info'))
    await tracing.root('accept', { attributes: { 'framefleet.job': 'a-job' } }, async (span) => {
      await tracing.child('batch', { parent: span.parent }, async () => {})
    })
    await tracing.close()
    process.exit()`
  const { stderr } = await run(process.execPath, ['--input-type=module-typescript', '-e', script], {
    env: {
      ...{ PATH: process.env['PATH'], NODE_EXTRA_CA_CERTS: cert, INSIGHTS: insights },
      ...{ APPLICATIONINSIGHTS_STATSBEAT_DISABLED: 'true', ...identity.env },
    },
  })
  expect(stderr).toBe('')
  expect(identity.refused).toEqual([])
  const [token] = identity.issued
  const mine = sent.filter(({ items }) => JSON.stringify(items).includes('a-job'))
  expect(mine.map(({ authorization }) => authorization)).toEqual([`Bearer ${token?.token}`])
  const text = JSON.stringify(mine)
  expect(text).toContain('"accept"')
  expect(text).toContain('"batch"')
  expect(text).toContain('framefleet.framefleet-producer')
})

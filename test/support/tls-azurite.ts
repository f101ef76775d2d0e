import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import tls from 'node:tls'
import { promisify } from 'node:util'
import type { TokenCredential } from '@azure/identity'
import { BlobServiceClient, newPipeline } from '@azure/storage-blob'
import { SignJWT } from 'jose'
import { freePort, startService } from '../../src/cli/services.ts'

/**
 * A storage account that is reached by identity: Azurite over TLS, which takes Entra's tokens by their claims. From here on this
 * process trusts its certificate. `service` is somebody with such a token.
 */
export async function startTlsAzurite() {
  const dir = await mkdtemp(join(tmpdir(), 'framefleet-tls-'))
  const [cert, key, port] = [join(dir, 'cert.pem'), join(dir, 'key.pem'), await freePort()]
  await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert],
  ])
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), await readFile(cert, 'utf8')])
  const packageJson = createRequire(import.meta.url).resolve('azurite/package.json')
  const azurite = await startService({
    name: 'azurite',
    command: process.execPath,
    args: [
      join(dirname(packageJson), 'dist/src/blob/main.js'),
      ...['--blobHost', '127.0.0.1', '--blobPort', String(port), '--location', dir, '--disableTelemetry'],
      ...['--skipApiVersionCheck', '--oauth', 'basic', '--cert', cert, '--key', key],
    ],
    env: {
      ...process.env,
      AZURITE_ACCOUNTS: `media:${Buffer.from('a key that nobody uses').toString('base64')}`,
    },
    ready: /successfully listen/,
    logFile: join(dir, 'azurite.log'),
  })

  const credential: TokenCredential = {
    async getToken() {
      const token = await new SignJWT({ oid: 'an-object', tid: 'a-tenant', appid: 'an-application' })
        .setProtectedHeader({ alg: 'HS256' })
        .setIssuer('https://sts.windows.net/a-tenant/')
        .setAudience('https://storage.azure.com')
        .setIssuedAt()
        .setNotBefore('-1m')
        .setExpirationTime('1h')
        .sign(new Uint8Array(32))
      return { token, expiresOnTimestamp: Date.now() + 3_600_000 }
    },
  }
  const asked: string[] = []
  const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } })
  pipeline.factories.push({
    create: (next) => ({
      async sendRequest(request) {
        asked.push(`${request.method} ${new URL(request.url).search}`)
        return await next.sendRequest(request)
      },
    }),
  })

  return {
    service: new BlobServiceClient(`https://127.0.0.1:${port}/media`, pipeline),
    /** What was asked of the account by identity. */
    asked,
    async close() {
      await azurite.stop(5_000)
      await rm(dir, { recursive: true, force: true })
    },
  }
}

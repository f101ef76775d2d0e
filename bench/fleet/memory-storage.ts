import { createRequire } from 'node:module'
import { join } from 'node:path'
import { type Secrets, accountsAt } from '../../src/cli/embedded-services.ts'
import { freePort, startService } from '../../src/cli/services.ts'

/**
 * Azurite's blob service as it comes, with all blobs in its memory. The one of `framefleet up` writes all of its books at each
 * change, so that beyond some thousands of blobs it, and not the producer, would be what is measured.
 */
export async function startMemoryStorage(dir: string, keys: Secrets) {
  const port = await freePort()
  const service = await startService({
    name: 'azurite',
    command: process.execPath,
    args: [
      createRequire(import.meta.url).resolve('azurite/dist/src/blob/main.js'),
      ...['--blobHost', '127.0.0.1', '--blobPort', String(port), '--silent'],
      ...['--inMemoryPersistence', '--disableTelemetry', '--skipApiVersionCheck'],
    ],
    env: { ...process.env, AZURITE_ACCOUNTS: `media:${keys.mediaKey};system:${keys.systemKey}` },
    ready: /successfully listen/,
    logFile: join(dir, 'logs', 'azurite.log'),
  })
  return { service, env: accountsAt(port, keys) }
}

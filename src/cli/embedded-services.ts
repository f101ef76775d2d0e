import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { Service } from '../shared/role-process.ts'
import { endLastRedis, vacant } from './last-services.ts'
import { freePort, startService } from './services.ts'

/** Redis and Azurite as the embedded stack runs them: on ports of their own, with secrets made at the first start. */
const Secrets = z.object({
  apiToken: z.string(),
  redisPassword: z.string(),
  mediaKey: z.string(),
  systemKey: z.string(),
})
export type Secrets = z.infer<typeof Secrets>

/**
 * The service, unless the environment names one; how to start it again, on the same port with the same data; and the
 * settings that roles reach it by.
 */
export type Started = { service?: Service; again?: StartAgain; env: NodeJS.ProcessEnv }
export type StartAgain = (signal?: AbortSignal) => Promise<Service>

export async function startRedis(
  dir: string,
  { redisPassword }: Secrets,
  env: NodeJS.ProcessEnv,
): Promise<Started> {
  if (env['FRAMEFLEET_REDIS_URL']) return { env: {} }
  const data = join(dir, 'redis')
  await mkdir(data, { recursive: true })
  const pidFile = join(data, 'redis.pid')
  await endLastRedis(pidFile, join(dir, 'redis.port'))
  const port = await freePort()
  await writeFile(join(dir, 'redis.port'), String(port))
  const settings = [
    `bind 127.0.0.1`,
    `port ${port}`,
    `dir "${data}"`,
    `pidfile "${pidFile}"`,
    `requirepass ${redisPassword}`,
    'appendonly yes',
    'appendfsync everysec',
    'save ""',
    'maxmemory-policy noeviction',
    'daemonize no',
  ]
  const start: StartAgain = async (signal) =>
    await startService({
      name: 'redis',
      command: 'redis-server',
      args: ['-'],
      input: settings.join('\n'),
      ready: /Ready to accept connections/,
      logFile: join(dir, 'logs', 'redis.log'),
      signal,
    })
  const url = `redis://:${redisPassword}@127.0.0.1:${port}`
  return { service: await start(), again: start, env: { FRAMEFLEET_REDIS_URL: url } }
}

export async function startAzurite(dir: string, secrets: Secrets, env: NodeJS.ProcessEnv): Promise<Started> {
  if (env['FRAMEFLEET_MEDIA_ACCOUNT']) return { env: {} }
  // The port is kept: blob URLs that jobs were given stay good when the stack is started again.
  const portFile = join(dir, 'azurite.port')
  const port = await keptPort(portFile)
  await vacant(port, portFile)
  const data = join(dir, 'azurite')
  await mkdir(data, { recursive: true })
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const main = fileURLToPath(new URL(`./azurite-main.${extension}`, import.meta.url))
  const where = ['--blobHost', '127.0.0.1', '--blobPort', String(port), '--location', data]
  const start: StartAgain = async (signal) =>
    await startService({
      name: 'azurite',
      command: process.execPath,
      args: [main, ...where, '--disableTelemetry', '--skipApiVersionCheck'],
      env: { ...process.env, AZURITE_ACCOUNTS: `media:${secrets.mediaKey};system:${secrets.systemKey}` },
      ready: /successfully listen/,
      logFile: join(dir, 'logs', 'azurite.log'),
      signal,
    })
  return {
    service: await start(),
    again: start,
    env: accountsAt(port, secrets),
  }
}

/** The settings by which roles reach an Azurite on that port of this machine. */
export function accountsAt(port: number, { mediaKey, systemKey }: Secrets): NodeJS.ProcessEnv {
  const account = (name: string, key: string) =>
    `DefaultEndpointsProtocol=http;AccountName=${name};AccountKey=${key};BlobEndpoint=http://127.0.0.1:${port}/${name};`
  return {
    FRAMEFLEET_MEDIA_ACCOUNT: account('media', mediaKey),
    FRAMEFLEET_SYSTEM_ACCOUNT: account('system', systemKey),
  }
}

export async function keptSecrets(dir: string): Promise<Secrets> {
  const path = join(dir, 'secrets.json')
  const kept = await readFile(path, 'utf8').catch(() => undefined)
  if (kept) return Secrets.parse(JSON.parse(kept))
  const made: Secrets = {
    apiToken: randomBytes(24).toString('base64url'),
    redisPassword: randomBytes(24).toString('hex'),
    mediaKey: randomBytes(64).toString('base64'),
    systemKey: randomBytes(64).toString('base64'),
  }
  await writeFile(`${path}.new`, JSON.stringify(made), { mode: 0o600 })
  await rename(`${path}.new`, path)
  return made
}

async function keptPort(path: string): Promise<number> {
  const kept = Number(await readFile(path, 'utf8').catch(() => ''))
  if (kept > 0) return kept
  const port = await freePort()
  await writeFile(path, String(port))
  return port
}

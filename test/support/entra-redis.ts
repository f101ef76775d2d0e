import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, type Socket, connect } from 'node:net'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { type Issued, principal, startFakeIdentity } from './fake-identity.ts'

/**
 * A Redis that knows callers by Entra ID, as Azure's does: a real one behind TLS whose user takes the tokens of an identity
 * endpoint as passwords, each until it expires; and a connection whose last token has expired is dropped.
 *
 * `url` is a Redis whose URL has the administrator's password. `dir` is for the certificate.
 */
export async function startEntraRedis(
  url: string,
  { dir, lifeSeconds }: { dir: string; lifeSeconds: number },
) {
  const admin = new Redis(url)
  const expiries = new Set<NodeJS.Timeout>()
  const expiresOf = new Map<string, number>()
  const dropped: number[] = []
  const open = new Set<Socket>()
  let connections = 0
  let admits = true

  const later = (ms: number, work: () => void) => {
    const timer = setTimeout(() => {
      expiries.delete(timer)
      work()
    }, ms)
    expiries.add(timer)
  }

  async function admit({ token, expires }: Issued): Promise<void> {
    if (!admits) return
    expiresOf.set(token, expires)
    await admin.call('ACL', 'SETUSER', principal, 'on', `>${token}`, '~*', '&*', '+@all')
    later(
      expires - Date.now(),
      () => void admin.call('ACL', 'SETUSER', principal, `<${token}`).catch(() => {}),
    )
  }

  const identity = await startFakeIdentity({ lifeSeconds, onIssued: admit })
  const [cert, key] = [join(dir, 'redis-cert.pem'), join(dir, 'redis-key.pem')]
  await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert],
  ])
  const { port: redisPort } = new URL(url)

  const front = createServer(
    { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') },
    (client) => {
      connections += 1
      open.add(client)
      const redis = connect(Number(redisPort), '127.0.0.1')
      /** The end of what was sent, which may hold the beginning of a command. */
      let tail = ''
      let expires = Infinity
      const check = () => {
        if (client.destroyed) return
        if (Date.now() < expires) return later(expires - Date.now(), check)
        dropped.push(Date.now())
        client.destroy()
      }
      client.on('data', (bytes: Buffer) => {
        tail += bytes.toString('latin1')
        for (const [, token = ''] of tail.matchAll(auth)) {
          // Showing one that is refused changes nothing.
          const until = expiresOf.get(token)
          if (until === undefined) continue
          expires = until
          later(expires - Date.now(), check)
        }
        tail = tail
          .slice(Math.max(tail.lastIndexOf('*3\r\n$4\r\n'), tail.length - 4_096, 0))
          .replaceAll(auth, '')
        redis.write(bytes)
      })
      redis.on('data', (bytes) => client.write(bytes))
      for (const socket of [client, redis]) {
        socket.on('error', () => {})
        socket.on('close', () => {
          open.delete(client)
          client.destroy()
          redis.destroy()
        })
      }
    },
  ).listen(0, '127.0.0.1')
  await once(front, 'listening')

  return {
    identity,
    /** Connections that were dropped because their token had expired. */
    dropped,
    connections: () => connections,
    /** Whether Redis takes tokens from now on that it has not seen before. */
    admits: (does: boolean) => void (admits = does),
    /** Drops every connection, as an update of Azure's does. */
    cut: () => [...open].forEach((socket) => socket.destroy()),
    admin,
    cert,
    env: {
      ...identity.env,
      NODE_EXTRA_CA_CERTS: cert,
      FRAMEFLEET_REDIS_URL: `rediss://localhost:${(front.address() as AddressInfo).port}`,
      FRAMEFLEET_REDIS_AUTH: 'entra' as const,
    },
    async close(): Promise<void> {
      for (const timer of expiries) clearTimeout(timer)
      front.close()
      for (const socket of open) socket.destroy()
      admin.disconnect()
      await identity.close()
    },
  }
}

const auth = /\*3\r\n\$4\r\nauth\r\n\$\d+\r\n[^\r]*\r\n\$\d+\r\n([^\r]+)\r\n/gi

import { Socket, connect as connectTcp, isIP } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { AbstractConnector, Redis, type RedisOptions } from 'ioredis'
import type { Login, RedisLogins } from './redis-login.ts'

/**
 * A connection to Redis, and every duplicate of it, that shows who we are by a token: a fresh one before the first command
 * of each new connection, and the next one on a connection that is open, before the old one ends. Where there is no token
 * to be had Redis is away, as when it does not answer: commands wait.
 */
export function openEntraRedis(options: RedisOptions, logins: RedisLogins): Redis {
  let used: Login | undefined
  const redis = new Redis({
    ...options,
    Connector: connectorOf(options, logins, (login) => {
      used = login
    }),
    // Redis has forgotten who we are, without closing: the command goes again on a new connection.
    reconnectOnError: ({ message }: Error) => (message.startsWith('NOAUTH') ? 2 : false),
  })
  // What ioredis would copy is how this very connection shows itself.
  redis.duplicate = (override) => openEntraRedis({ ...redis.options, ...override }, logins)

  const renew = (login: Login) => {
    // A claim that waits holds it up for some seconds: it is sent long before the old one ends.
    if (redis.status !== 'ready' || login.token === used?.token) return
    const before = used
    used = login
    redis.auth(login.user, login.token).catch(() => {
      // Redis closes it when the old token ends, and the next connection asks for a fresh one. The error knows the token.
      if (used === login) used = before
    })
  }
  const forget = logins.onRenewed(renew)
  redis.on('ready', () => {
    const newest = logins.newest()
    if (newest) renew(newest)
  })
  redis.on('end', forget)
  return redis
}

/**
 * Shows who we are before ioredis gets the connection. Its own way takes the password once, when it begins to connect, and
 * fails whatever waits when that is refused.
 */
function connectorOf(options: RedisOptions, logins: RedisLogins, onUsed: (login: Login) => void) {
  return class extends AbstractConnector {
    #stopped = new AbortController()

    constructor() {
      super(options.disconnectTimeout ?? 2_000)
    }

    override disconnect(): void {
      this.#stopped.abort()
      super.disconnect()
    }

    override async connect(): Promise<Socket> {
      this.connecting = true
      this.firstError = undefined
      this.#stopped = new AbortController()
      const { signal } = this.#stopped
      try {
        const login = await unlessStopped(logins.login(), signal)
        const socket = openSocket(options)
        this.stream = socket
        await authenticate(socket, login, { signal, withinMs: options.connectTimeout ?? 10_000 }).catch(
          (error: unknown) => {
            socket.destroy()
            if (error instanceof Refused) logins.refused(login)
            throw error
          },
        )
        onUsed(login)
        return socket
      } catch (error) {
        if (!signal.aborted) this.firstError = error as Error
        // ioredis takes a connection that is closed already for one that failed, and tries again later.
        const none = new Socket().destroy()
        this.stream = none
        return none
      }
    }
  }
}

class Refused extends Error {}

function openSocket({ host = '127.0.0.1', port = 6379, tls }: RedisOptions): Socket {
  if (!tls) return connectTcp({ host, port })
  return connectTls({ ...tls, host, port, ...(isIP(host) ? {} : { servername: host }) })
}

async function unlessStopped<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const stop = () => reject(new Error('closed'))
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

const mostReplyBytes = 4_096

/** The one command that a connection takes before it knows us, and its one line of an answer. Throws Refused. */
async function authenticate(
  socket: Socket,
  { user, token }: Login,
  { signal, withinMs }: { signal: AbortSignal; withinMs: number },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let answer = ''
    const settle = (error?: Error) => {
      for (const [event, listener] of Object.entries(listeners)) socket.off(event, listener)
      signal.removeEventListener('abort', stop)
      socket.setTimeout(0)
      // Nobody listens until ioredis does, a moment later.
      socket.pause()
      socket.on('error', () => {})
      if (error) reject(error)
      else resolve()
    }
    const stop = () => settle(new Error('closed'))
    const listeners = {
      data(bytes: Buffer) {
        answer += bytes.toString('latin1')
        const end = answer.indexOf('\r\n')
        if (end < 0 && answer.length < mostReplyBytes) return
        if (answer.startsWith('+')) settle()
        else if (answer.startsWith('-')) settle(new Refused(`Redis refuses ${user}: ${answer.slice(1, end)}`))
        else settle(new Error('what answers there is no Redis'))
      },
      error: (error: Error) => settle(error),
      close: () => settle(new Error('Redis closed the connection before it knew us')),
      timeout: () => settle(new Error('connect ETIMEDOUT')),
    }
    for (const [event, listener] of Object.entries(listeners)) socket.on(event, listener)
    signal.addEventListener('abort', stop, { once: true })
    socket.setTimeout(withinMs)
    const parts = ['AUTH', user, token].map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`)
    socket.write(`*${parts.length}\r\n${parts.join('')}`)
  })
}

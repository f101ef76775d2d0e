import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { connectRedis } from '../../src/shared/redis.ts'
import { byUrl, silent } from '../support/services.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()

test('a command on a connection that died without a word is answered on the next one', async () => {
  const { port, password } = new URL(services.redisUrl)
  let connections = 0
  const forward = createServer((client) => {
    connections += 1
    const isFirst = connections === 1
    const redis = connect(Number(port), '127.0.0.1')
    let dead = false
    client.on('data', (bytes) => {
      dead ||= isFirst && bytes.includes('MARK')
      // The other side is gone, and nobody says so.
      if (!dead) redis.write(bytes)
    })
    redis.on('data', (bytes) => client.write(bytes))
    for (const socket of [client, redis]) {
      socket.on('error', () => {})
      socket.on('close', () => [client, redis].forEach((each) => each.destroy()))
    }
  }).listen(0, '127.0.0.1')
  await once(forward, 'listening')
  const url = `redis://:${password}@127.0.0.1:${(forward.address() as AddressInfo).port}`
  const redis = connectRedis(byUrl(url), silent, { name: 'test', deadAfterMs: 300 })
  try {
    await redis.set('dead-connection', 'MARK')
    expect(await redis.get('dead-connection')).toBe('MARK')
    expect(connections).toBe(2)
  } finally {
    redis.disconnect()
    forward.close()
  }
})

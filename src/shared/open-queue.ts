import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import type { AnyQueueName } from './queues.ts'

/**
 * A queue over a connection of ours. Its errors are the connection's, which tells of them once; those that nobody listens
 * to BullMQ would print, each with its stack and past our log.
 */
export function openQueue(name: AnyQueueName, { connection, prefix }: { connection: Redis; prefix: string }) {
  return new Queue(name, { connection, prefix }).on('error', () => {})
}

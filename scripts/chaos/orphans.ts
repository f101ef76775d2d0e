import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { findVictim } from './processes.ts'
import type { World } from './world.ts'

const lookEveryMs = 1_000

/**
 * What is left of jobs that have ended, and of processes that have died: in storage, in Redis, on the disk. The janitor
 * comes at intervals: what is gone `withinMs` is no orphan.
 */
export async function findOrphans(world: World, withinMs: number): Promise<string[]> {
  const deadline = Date.now() + withinMs
  for (;;) {
    const found = [
      ...(await leftInStorage(world)),
      ...(await leftInRedis(world)),
      ...(await leftOnDisk(world)),
    ]
    if (found.length === 0 || Date.now() > deadline) return found
    await pause(lookEveryMs)
  }
}

/** Blobs that only running jobs need. */
async function leftInStorage({ media }: World): Promise<string[]> {
  const left: string[] = []
  for (const prefix of ['jobs/', 'open/']) {
    for await (const { name } of media.list(prefix)) {
      if (/^jobs\/[^/]+\/(?:segments\/|secret\.json)|^open\//.test(name)) left.push(`blob ${name}`)
    }
  }
  return left
}

const folders = ['completed', 'failed']
const jobId = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/

/** Keys that name a job and would stay for ever: no expiry, and not an ended entry, which BullMQ keeps for its time. */
async function leftInRedis({ redis, prefix }: World): Promise<string[]> {
  const keys = new Set<string>()
  for (let cursor = '0'; ;) {
    const [next, found] = await redis.scan(cursor, 'MATCH', `${prefix}:*`, 'COUNT', 1_000)
    for (const key of found) keys.add(key)
    cursor = next
    if (cursor === '0') break
  }
  const kept = new Set<string>()
  for (const queue of ['split', 'batch', 'stitch']) {
    for (const folder of folders) {
      for (const id of await redis.zrange(`${prefix}:${queue}:${folder}`, '0', '-1'))
        kept.add(`${prefix}:${queue}:${id}`)
    }
  }
  const isKept = (key: string) => kept.has(key) || kept.has(key.replace(/:[a-z]+$/, ''))
  // What was put into quarantine stays until somebody has looked at it.
  const suspects = [...keys].filter(
    (key) => jobId.test(key) && !key.startsWith(`${prefix}:quarantine:`) && !isKept(key),
  )
  const ages = await Promise.all(suspects.map(async (key) => await redis.ttl(key)))
  const left = suspects.filter((_, i) => ages[i] === -1).map((key) => `key ${key}`)
  // Who stands in line for ever has ever less room for what comes after it.
  for (const line of [...keys].filter((key) => key.startsWith(`${prefix}:open:`))) {
    for (const id of await redis.hkeys(line)) left.push(`job ${id} in line`)
  }
  return [...left, ...(await leftOnQueues(redis, prefix))]
}

/** Entries that still wait, or are held, though no job is left that they could be of. */
async function leftOnQueues(redis: World['redis'], prefix: string): Promise<string[]> {
  const left: string[] = []
  for (const queue of ['split', 'batch', 'stitch']) {
    const key = `${prefix}:${queue}`
    const lists = await Promise.all(
      ['wait', 'paused', 'active'].map(async (list) => await redis.lrange(`${key}:${list}`, 0, -1)),
    )
    const sets = await Promise.all(
      ['delayed', 'prioritized', 'waiting-children'].map(
        async (set) => await redis.zrange(`${key}:${set}`, '0', '-1'),
      ),
    )
    for (const id of [...lists, ...sets].flat()) left.push(`entry ${queue} ${id}`)
  }
  return left
}

/** Files in the folders of processes that are gone; of those that live too, since nothing is under way. */
async function leftOnDisk({ stack }: World): Promise<string[]> {
  const scratch = stack.env['FRAMEFLEET_SCRATCH_DIR'] ?? ''
  const left: string[] = []
  for (const folder of await readdir(scratch).catch(() => [])) {
    const files = await readdir(join(scratch, folder)).catch(() => [])
    const alive = await findVictim(Number(folder.split('.')[1]))
    if (!alive || files.length > 0) left.push(`scratch ${folder} ${files.join(' ')}`.trim())
  }
  const cache = await readdir(stack.env['FRAMEFLEET_CACHE_DIR'] ?? '').catch(() => [])
  const partial = cache.filter((name) => name.endsWith('.partial'))
  return [...left, ...partial.map((name) => `cache ${name}`)]
}

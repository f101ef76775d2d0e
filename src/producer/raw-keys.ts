import type { Redis } from 'ioredis'
import type { KeyType, KeyTypes } from '../shared/key-types.ts'
import { dropKeyScript, wrongKeysScript } from './raw-queue-scripts.ts'

/** A key that can't be what we put there: what is wrong, and what it holds, as far as that can be shown. */
export type WrongKey<Name extends string = string> = {
  name: Name
  fault: string
  size: number
  head: string
}

/** Of these keys, those that are not what they should be. Names go on from `base`. */
export async function wrongKeys<Name extends string>(
  redis: Redis,
  base: string,
  types: Record<Name, KeyType>,
): Promise<WrongKey<Name>[]> {
  const pairs = Object.entries(types as KeyTypes)
  const [first] = pairs
  if (!first) return []
  // One of them is named as a key, too: it says which slot of a cluster all the others are in.
  const found = await redis.callBuffer('EVAL', [wrongKeysScript, 1, base + first[0], base, ...pairs.flat()])
  return (found as [Buffer, Buffer, number, Buffer][]).map(([name, fault, size, head]) => ({
    name: name.toString() as Name,
    fault: fault.toString(),
    size,
    head: head.toString(),
  }))
}

/** Removes a key that is still wrong; answers whether it did. */
export async function dropKey(redis: Redis, base: string, name: string, type: KeyType): Promise<boolean> {
  return (await redis.eval(dropKeyScript, 1, base + name, base, name, type)) === 1
}

import { link, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createFileCache } from '../../src/shared/file-cache.ts'
import { tempDir } from '../support/temp-dir.ts'

const root = tempDir()
const caches = (name: string, maxBytes = 1_000) => createFileCache({ dir: join(root, name), maxBytes })
const bytes = (count: number) => async (to: string) => await writeFile(to, Buffer.alloc(count, 1))

test('many who want the same file at once wait for one download', async () => {
  // Two caches over one folder stand for two processes of a machine.
  const [one, other] = [caches('shared'), caches('shared')]
  let fetched = 0
  const fetch = async (to: string) => {
    fetched++
    await writeFile(to, 'film')
  }
  await Promise.all(
    [1, 2, 3, 4].map(async (n) => await (n % 2 ? one : other).take('key', join(root, `use-${n}`), fetch)),
  )
  expect(fetched).toBe(1)
  expect(await readFile(join(root, 'use-4'), 'utf8')).toBe('film')
})

test('a failed download is said to everybody, and leaves nothing', async () => {
  const cache = caches('failing')
  const fail = async (to: string) => {
    await writeFile(to, 'half a fi')
    throw new Error('connection reset')
  }
  await expect(cache.take('key', join(root, 'never'), fail)).rejects.toThrow('connection reset')
  expect(await readdir(join(root, 'failing'))).toEqual([])
  await cache.take('key', join(root, 'later'), bytes(3))
  expect((await stat(join(root, 'later'))).size).toBe(3)
})

test('what was longest unused goes first, and a file in use lives on under its own name', async () => {
  const cache = caches('small', 250)
  await cache.take('a', join(root, 'a'), bytes(100))
  await cache.take('b', join(root, 'b'), bytes(100))
  await cache.take('a', join(root, 'a-again'), bytes(100))
  await cache.take('c', join(root, 'c'), bytes(100))
  let fetched = 0
  const count = async (to: string) => {
    fetched++
    await bytes(100)(to)
  }
  expect((await readFile(join(root, 'b'))).length).toBe(100)
  await cache.take('a', join(root, 'a-third'), count)
  expect(fetched).toBe(0)
  await cache.take('b', join(root, 'b-again'), count)
  expect(fetched).toBe(1)
})

test('a link that is there already is not made twice', async () => {
  const cache = caches('twice')
  await cache.take('x', join(root, 'x'), bytes(5))
  await cache.take('x', join(root, 'x'), bytes(5))
  await link(join(root, 'x'), join(root, 'x-2'))
  expect((await stat(join(root, 'x'))).nlink).toBe(3)
})

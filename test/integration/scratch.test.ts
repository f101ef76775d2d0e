import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openScratch } from '../../src/shared/scratch.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const host = hostname().replaceAll('.', '-')

test('what dead processes left goes while we live, and what is ours stays', async () => {
  const root = join(dir, 'scratch')
  const scratch = await openScratch(root, 20)
  await scratch.within('batch', async (own) => {
    await writeFile(join(own, 'segment.mp4'), 'ours')
    // No process has this id: the kernel's are smaller.
    await mkdir(join(root, `${host}.4194305.1`), { recursive: true })
    await mkdir(join(root, 'another-host.1.1'), { recursive: true })
    await expect.poll(async () => (await readdir(root)).length).toBe(2)
    expect(await readdir(own)).toEqual(['segment.mp4'])
  })
  await scratch.close()
  expect(await readdir(root)).toEqual(['another-host.1.1'])
})

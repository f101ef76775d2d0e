import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createGpuGauges } from '../../src/worker/gpu-gauges.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()

/** Stands in for the driver's program: machines for tests have no GPU. */
async function program(name: string, script: string): Promise<string> {
  const path = join(dir, name)
  await writeFile(path, `#!/bin/sh\necho "$@" >> ${path}.calls\n${script}\n`)
  await chmod(path, 0o755)
  return path
}
const values = async (registry: Registry) =>
  (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))

test('a GPU is asked once for all its figures, and what it does not tell is left out', async () => {
  const path = await program('told', "echo '87, 10240, 81559, 61, [N/A]'")
  const registry = new Registry()
  createGpuGauges(registry, 2, path)
  expect(await values(registry)).toEqual([
    'framefleet_gpu_utilization_ratio 0.87',
    `framefleet_gpu_memory_used_bytes ${10_240 * 1_048_576}`,
    `framefleet_gpu_memory_total_bytes ${81_559 * 1_048_576}`,
    'framefleet_gpu_temperature_celsius 61',
  ])
  await values(registry)
  expect((await readFile(`${path}.calls`, 'utf8')).trim()).toBe(
    '--id=2 --query-gpu=utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw --format=csv,noheader,nounits',
  )
})

test('without a driver there are no figures, nor where it fails or hangs', async () => {
  for (const path of [
    join(dir, 'none'),
    await program('failed', 'echo "NVIDIA-SMI has failed"; exit 9'),
    await program('hangs', 'exec sleep 60'),
  ]) {
    const registry = new Registry()
    createGpuGauges(registry, 0, path)
    expect(await values(registry)).toEqual([])
  }
})

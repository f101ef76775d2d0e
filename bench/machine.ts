import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import { env } from 'onnxruntime-node'
import { readConfig } from '../src/shared/config.ts'
import type { DeviceWish } from '../src/shared/models/device.ts'
import { workerSettings } from '../src/worker/config.ts'

/** What the figures were measured on. */
export type Machine = {
  cpu: string
  cores: number
  memory_gb: number
  node: string
  ffmpeg: string
  onnxruntime: string
}

export function thisMachine(): Machine {
  const [, ffmpeg = 'unknown'] =
    /^ffmpeg version (\S+)/.exec(execFileSync('ffmpeg', ['-version'], { encoding: 'utf8' })) ?? []
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memory_gb: Math.round(totalmem() / 2 ** 30),
    node: process.version.slice(1),
    ffmpeg,
    onnxruntime: env.versions.node ?? env.versions.common,
  }
}

/** Share of all cores that is at work within a second, from 0 to 1: before we begin it is others' work. */
export async function busyShare(): Promise<number> {
  const look = () => {
    const times = cpus().map((cpu) => cpu.times)
    const all = times.flatMap((each) => Object.values(each)).reduce((a, b) => a + b, 0)
    return { all, idle: times.reduce((sum, { idle }) => sum + idle, 0) }
  }
  const before = look()
  await wait(1_000)
  const after = look()
  return 1 - (after.idle - before.idle) / (after.all - before.all)
}

/** The device that a worker started from here would take, and all cores. */
export function wholeMachine(): DeviceWish {
  const { FRAMEFLEET_DEVICE, FRAMEFLEET_DEVICE_ID } = workerSettings
  const config = readConfig({ FRAMEFLEET_DEVICE, FRAMEFLEET_DEVICE_ID }, process.env)
  return {
    device: config.FRAMEFLEET_DEVICE,
    deviceId: config.FRAMEFLEET_DEVICE_ID,
    threads: availableParallelism(),
  }
}

import { existsSync } from 'node:fs'
import { InferenceSession, listSupportedBackends } from 'onnxruntime-node'
import type { Device, DeviceWish } from './device.ts'

export type OpenSession = {
  session: InferenceSession
  device: Device
  /** Why `auto` did not take the GPU, in the runtime's words; undefined where there was none to take. */
  fellBack?: string
}

/**
 * Loads a model on the device that is wished for. The runtime doesn't fall back by itself: a provider that can't start
 * is an error, so `auto` tries one after the other. A session that `keepsMemory` has that of one run ready for the next, which is
 * of the same shape. Throws the runtime's own error.
 */
export async function openSession(
  model: Uint8Array,
  wish: DeviceWish & { keepsMemory?: boolean },
): Promise<OpenSession> {
  if (wish.device !== 'auto') {
    return { session: await load(model, wish.device, wish), device: wish.device }
  }
  if (!hasGpu()) return { session: await load(model, 'cpu', wish), device: 'cpu' }
  try {
    return { session: await load(model, 'cuda', wish), device: 'cuda' }
  } catch (error) {
    const fellBack = (error as Error).message.split('\n')[0] ?? 'unknown'
    return { session: await load(model, 'cpu', wish), device: 'cpu', fellBack }
  }
}

// The runtime names CUDA among its backends on machines without a GPU too, and complains aloud when asked for it.
const gpuFiles = ['/dev/nvidiactl', '/dev/dxg']
const hasGpu = () =>
  gpuFiles.some((path) => existsSync(path)) && listSupportedBackends().some(({ name }) => name === 'cuda')

async function load(
  model: Uint8Array,
  device: Device,
  { deviceId, threads, keepsMemory = true }: DeviceWish & { keepsMemory?: boolean },
) {
  return await InferenceSession.create(model, {
    executionProviders: [device === 'cpu' ? 'cpu' : { name: device, deviceId }],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    enableCpuMemArena: keepsMemory,
    enableMemPattern: keepsMemory,
    graphOptimizationLevel: 'all',
    // What the runtime has to say comes as an error; on its own it would write past our log.
    logSeverityLevel: 4,
    // By default idle threads of the runtime spin, and take the cores from ffmpeg and from each other: on two cores
    // the built-in look took 22 to 38 ms a frame with spinning, and 11 ms without, whether ffmpeg was running or not.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  })
}

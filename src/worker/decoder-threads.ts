import type { Device } from '../shared/models/device.ts'

/**
 * Threads of the decoder. Left to itself it takes one for each core, and from the model what the model needs: on a processor
 * two decode far faster than any model scores. A GPU may score hundreds of frames a second, and leaves the cores free.
 */
export function decoderThreads(device: Device, cores: number): number {
  return device === 'cpu' ? Math.min(2, cores) : Math.min(8, Math.max(1, cores >> 1))
}

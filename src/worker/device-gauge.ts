import { Gauge, type Registry } from 'prom-client'
import { z } from 'zod'

const Told = z.object({ device: z.string() })

/** What the worker's model runs on, as its last batch told. */
export function createDeviceGauge(registry: Registry) {
  const gauge = new Gauge({
    name: 'framefleet_worker_device',
    help: '1 for the device that the last batch was scored on: cpu, cuda or tensorrt',
    labelNames: ['device'],
    registers: [registry],
  })
  return {
    note(result: unknown): void {
      const told = Told.safeParse(result)
      if (!told.success) return
      gauge.reset()
      gauge.set({ device: told.data.device }, 1)
    },
  }
}

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Gauge, type Registry } from 'prom-client'

const run = promisify(execFile)

const patienceMs = 2_000
/** Several may ask; the program takes a moment each time, and holds the driver. */
const freshMs = 5_000

/** What is asked of the driver, how it is called here, and by how much its figure is multiplied. */
const figures = [
  ['utilization.gpu', 'framefleet_gpu_utilization_ratio', 'How much of the time the GPU was at work', 0.01],
  ['memory.used', 'framefleet_gpu_memory_used_bytes', 'Memory of the GPU in use, by whomever', 1 << 20],
  ['memory.total', 'framefleet_gpu_memory_total_bytes', 'Memory of the GPU', 1 << 20],
  ['temperature.gpu', 'framefleet_gpu_temperature_celsius', 'How warm the GPU is', 1],
  ['power.draw', 'framefleet_gpu_power_watts', 'What the GPU draws', 1],
] as const

/**
 * Figures of the GPU that this worker's models run on, from `nvidia-smi`, asked when somebody wants to know. Where there is no
 * such program, or it does not answer in time, there are no figures; what a GPU does not tell is left out.
 */
export function createGpuGauges(registry: Registry, deviceId: number, program = 'nvidia-smi'): void {
  let known: { at: number; figures: Promise<(number | undefined)[]> } | undefined
  let absent = false

  async function ask(): Promise<(number | undefined)[]> {
    if (absent) return []
    const query = figures.map(([name]) => name).join(',')
    try {
      const { stdout } = await run(
        program,
        [`--id=${deviceId}`, `--query-gpu=${query}`, '--format=csv,noheader,nounits'],
        { timeout: patienceMs, killSignal: 'SIGKILL', maxBuffer: 64 << 10 },
      )
      return (stdout.split('\n')[0] ?? '').split(',').map((text, i) => {
        const value = Number(text.trim() || NaN)
        return Number.isFinite(value) ? value * (figures[i]?.[3] ?? 1) : undefined
      })
    } catch (error) {
      absent = (error as NodeJS.ErrnoException).code === 'ENOENT'
      return []
    }
  }

  for (const [i, [, name, help]] of figures.entries()) {
    const gauge = new Gauge({
      name,
      help,
      registers: [registry],
      async collect() {
        if (!known || Date.now() - known.at > freshMs) known = { at: Date.now(), figures: ask() }
        const value = (await known.figures)[i]
        // Without labels a gauge shows 0 until it is set: no figure is not a figure of 0.
        if (value === undefined) gauge.remove()
        else gauge.set(value)
      },
    })
  }
}

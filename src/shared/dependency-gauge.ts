import { Gauge, type Registry } from 'prom-client'

const patienceMs = 2_000

/** What a role needs, each asked when somebody wants to know: 1 where it answers, 0 where it does not, or too late. */
export function createDependencyGauge(
  registry: Registry,
  checks: Partial<Record<'redis' | 'media' | 'system', () => boolean | Promise<boolean>>>,
): void {
  const gauge = new Gauge({
    name: 'framefleet_dependency_up',
    help: 'Whether this role reaches what it needs: redis, and the media and system accounts',
    labelNames: ['dependency'],
    registers: [registry],
    async collect() {
      const asking = Object.entries(checks).map(async ([dependency, check]) =>
        gauge.set({ dependency }, (await inTime(async () => await check())) ? 1 : 0),
      )
      await Promise.all(asking)
    },
  })
}

async function inTime(check: () => Promise<boolean>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), patienceMs)
  })
  return await Promise.race([check().catch(() => false), late]).finally(() => clearTimeout(timer))
}

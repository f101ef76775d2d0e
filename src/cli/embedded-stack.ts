import { mkdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { keptSecrets, startAzurite, startRedis } from './embedded-services.ts'
import { type Service, freePort, startRole } from './services.ts'

/**
 * The whole system on this machine: Redis (with its append-only file), Azurite with two accounts, a producer, workers
 * and a stitcher, each a process of its own. Services that the environment names are used instead of embedded ones.
 */
export type StackOptions = {
  /** Where all data of the stack lies. */
  dir: string
  workers: number
  /** Port of the API; 0 takes any free one. */
  port: number
  env: NodeJS.ProcessEnv
  /** Whether a role that dies is started again. */
  restart: boolean
  onEvent?: (line: string) => void
}

export type Stack = {
  apiUrl: string
  token: string
  /** The settings the roles run with: secrets inside. */
  env: NodeJS.ProcessEnv
  workers: () => Service[]
  services: () => Service[]
  stop(): Promise<void>
}

const stopGraceMs = 15_000
const restartAfterMs = 1_000

export async function startStack(options: StackOptions): Promise<Stack> {
  const dir = resolve(options.dir)
  await mkdir(join(dir, 'logs'), { recursive: true })
  const secrets = await keptSecrets(dir)
  const running: Service[] = []
  let stopping = false
  const stop = async () => {
    stopping = true
    // Roles before the services they need, the producer first: nothing new comes in.
    const roles = running.filter((service) => isRole(service.name))
    await Promise.all(roles.map((role) => role.stop(stopGraceMs)))
    await Promise.all(
      running.filter((service) => !isRole(service.name)).map((service) => service.stop(stopGraceMs)),
    )
  }

  try {
    const starts = [startRedis(dir, secrets, options.env), startAzurite(dir, secrets, options.env)] as const
    // One may fail while the other is still starting: whatever does start is to be stopped again.
    for (const each of await Promise.allSettled(starts)) {
      if (each.status === 'fulfilled' && each.value.service) running.push(each.value.service)
    }
    const services = await Promise.all(starts)
    const port = options.port || (await freePort())
    const env: NodeJS.ProcessEnv = {
      ...roleDefaults(dir, options.workers),
      ...options.env,
      ...services[0].env,
      ...services[1].env,
      FRAMEFLEET_API_PORT: String(port),
      FRAMEFLEET_API_TOKENS: options.env['FRAMEFLEET_API_TOKENS'] ?? secrets.apiToken,
    }
    const launch = async (name: string, role: string): Promise<void> => {
      const service = await startRole({
        name,
        main: roleMain(role),
        env,
        logFile: join(dir, 'logs', `${name}.ndjson`),
      })
      running.push(service)
      service.process.once('exit', (code, signal) => {
        running.splice(running.indexOf(service), 1)
        if (stopping) return
        options.onEvent?.(`${name} ended (${signal ?? code})`)
        // Work that was under way is claimed by others meanwhile; a role that can't start at all is said and left.
        if (!options.restart) return
        // Not at once: a role that dies at every start would keep the machine busy with starting it.
        setTimeout(() => {
          if (!stopping) launch(name, role).catch((error: Error) => options.onEvent?.(error.message))
        }, restartAfterMs)
      })
    }
    const workers = Array.from({ length: options.workers }, (_, i) => launch(`worker-${i + 1}`, 'worker'))
    await settleAll([launch('producer', 'producer'), launch('stitcher', 'stitcher'), ...workers])
    return {
      apiUrl: `http://127.0.0.1:${port}`,
      token: (env['FRAMEFLEET_API_TOKENS'] ?? '').split(',')[0] ?? '',
      env,
      workers: () => running.filter(({ name }) => name.startsWith('worker')),
      services: () => [...running],
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

const isRole = (name: string) => !['redis', 'azurite'].includes(name)

/** Waits for all, also when one fails, so that whatever did start can be stopped; then throws the first failure. */
async function settleAll(starts: Promise<void>[]): Promise<void> {
  const ended = await Promise.allSettled(starts)
  const failed = ended.find((each) => each.status === 'rejected')
  if (failed) throw failed.reason
}

function roleMain(role: string): URL {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return new URL(`../${role}/main.${extension}`, import.meta.url)
}

function roleDefaults(dir: string, workers: number): NodeJS.ProcessEnv {
  return {
    FRAMEFLEET_CACHE_DIR: join(dir, 'cache'),
    FRAMEFLEET_SCRATCH_DIR: join(dir, 'scratch'),
    FRAMEFLEET_CACHE_MAX_BYTES: String(20e9),
    // Several workers on one machine would fight for health ports; one local stack needs none but the API's.
    FRAMEFLEET_WORKER_PORT: '0',
    FRAMEFLEET_STITCHER_PORT: '0',
    FRAMEFLEET_DRAIN_MS: '3000',
    FRAMEFLEET_PLAN_WORKERS: String(workers),
    // Workers share the cores: each running as many threads as there are cores would only make them wait for each other.
    FRAMEFLEET_INFERENCE_THREADS: String(
      Math.max(1, Math.floor(availableParallelism() / Math.max(1, workers))),
    ),
  }
}

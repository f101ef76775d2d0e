import { mkdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type StartAgain, keptSecrets, startAzurite, startRedis } from './embedded-services.ts'
import { type Service, startRole } from '../shared/role-process.ts'
import { InputError } from '../shared/errors.ts'
import { forgetEndpoint, urlOfLast } from './endpoint.ts'
import { lockFolder } from './folder-lock.ts'
import { freePort, isFree } from './services.ts'

/**
 * The whole system on this machine: Redis (with its append-only file), Azurite with two accounts, a producer, a stitcher,
 * and workers, or an autoscaler that starts them, each a process of its own. Services that the environment names are used instead of embedded ones.
 *
 *   starting ──ready──► running ──dies──► waiting a moment ──► starting      for ever, on the same port with the same data
 *       └───────── stop ────┴──────────────────┴──► gone
 */
export type StackOptions = {
  /** Where all data of the stack lies. */
  dir: string
  workers: number
  /** An autoscaler in place of the workers: never fewer, and never more than these. */
  autoscale?: { min: number; max: number }
  /** Port of the API; 0 takes any free one. */
  port: number
  env: NodeJS.ProcessEnv
  /** Whether what dies is started again. */
  restart: boolean
  /** Puts something between the roles and the services, such as a proxy; answers how roles reach them then. */
  between?: (services: NodeJS.ProcessEnv) => Promise<NodeJS.ProcessEnv>
  onEvent?: (line: string) => void
}

export type Stack = {
  apiUrl: string
  token: string
  /** The settings the roles run with: secrets inside. */
  env: NodeJS.ProcessEnv
  /** What runs at this moment; not those of an autoscaler. */
  workers: () => Service[]
  /** The producer, the stitcher and the workers, or the autoscaler. */
  roles: () => Service[]
  /** Redis and Azurite, unless the environment named some. */
  services: () => Service[]
  stop(): Promise<void>
}

const stopGraceMs = 15_000
// Not at once: what dies at every start would keep the machine busy with starting it.
const restartAfterMs = 500
const restartAfterMostMs = 10_000

export async function startStack(options: StackOptions): Promise<Stack> {
  const dir = resolve(options.dir)
  await mkdir(join(dir, 'logs'), { recursive: true })
  const unlock = lockFolder(dir)
  if (!unlock) throw await alreadyRuns(dir)
  try {
    if (options.port && !(await isFree(options.port, options.env['FRAMEFLEET_HOST'])))
      throw new InputError('port-taken', `Port ${options.port} is taken: name another by --port.`)
    // Of one that was killed, perhaps.
    await forgetEndpoint(dir)
    const stack = await startLocked({ ...options, dir })
    const stop = async () => {
      await stack.stop()
      await forgetEndpoint(dir)
      unlock()
    }
    return { ...stack, stop }
  } catch (error) {
    unlock()
    throw error
  }
}

async function alreadyRuns(dir: string): Promise<InputError> {
  const url = await urlOfLast(dir)
  const where = url === undefined ? 'and is starting or stopping' : `at ${url}`
  return new InputError('already-runs', `In ${dir} framefleet already runs, ${where}.`)
}

/** The folder is ours: nobody else reads or writes what Redis and Azurite keep there. */
async function startLocked(options: StackOptions): Promise<Stack> {
  const { dir } = options
  const secrets = await keptSecrets(dir)
  const running: Service[] = []
  const starting = new Set<Promise<void>>()
  const stopping = new AbortController()
  const { signal } = stopping
  const stop = async () => {
    stopping.abort()
    await Promise.all(starting)
    // Roles before the services they need, the producer first: nothing new comes in.
    for (const wanted of [isRole, isService]) {
      await Promise.all(running.filter(wanted).map(async (service) => await service.stop(stopGraceMs)))
    }
  }

  function keep(service: Service, again: StartAgain | undefined): void {
    running.push(service)
    service.process.once('exit', (code, by) => {
      running.splice(running.indexOf(service), 1)
      if (signal.aborted) return
      options.onEvent?.(`${service.name} ended (${by ?? code})`)
      if (!options.restart || !again) return
      const restarted = restart(again).finally(() => starting.delete(restarted))
      starting.add(restarted)
    })
  }

  /** Tries for ever: what a role needs may be away for a while. */
  async function restart(again: StartAgain): Promise<void> {
    for (let wait = restartAfterMs; ; wait = Math.min(2 * wait, restartAfterMostMs)) {
      await pause(wait, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      try {
        return keep(await again(signal), again)
      } catch (error) {
        if (!signal.aborted) options.onEvent?.((error as Error).message)
      }
    }
  }

  try {
    const starts = [startRedis(dir, secrets, options.env), startAzurite(dir, secrets, options.env)] as const
    // One may fail while the other is still starting: whatever does start is to be stopped again.
    for (const each of await Promise.allSettled(starts)) {
      if (each.status === 'fulfilled' && each.value.service) keep(each.value.service, each.value.again)
    }
    const [redis, azurite] = await Promise.all(starts)
    const services = { ...redis.env, ...azurite.env }
    const port = options.port || (await freePort())
    const env: NodeJS.ProcessEnv = {
      ...roleDefaults(dir, options.autoscale?.max ?? options.workers),
      ...(options.autoscale ? autoscalerDefaults(dir, options.autoscale) : {}),
      ...options.env,
      ...services,
      ...(await options.between?.(services)),
      FRAMEFLEET_API_PORT: String(port),
      FRAMEFLEET_API_TOKENS: options.env['FRAMEFLEET_API_TOKENS'] ?? secrets.apiToken,
    }
    const launch = async (name: string, role: string): Promise<void> => {
      const logFile = join(dir, 'logs', `${name}.ndjson`)
      const start: StartAgain = async (cancel) =>
        await startRole({ name, main: roleMain(role), env, logFile, signal: cancel })
      keep(await start(signal), start)
    }
    const workers = options.autoscale
      ? [launch('autoscaler', 'autoscaler')]
      : Array.from({ length: options.workers }, (_, i) => launch(`worker-${i + 1}`, 'worker'))
    await settleAll([launch('producer', 'producer'), launch('stitcher', 'stitcher'), ...workers])
    return {
      apiUrl: `http://127.0.0.1:${port}`,
      token: (env['FRAMEFLEET_API_TOKENS'] ?? '').split(',')[0] ?? '',
      env,
      workers: () => running.filter(({ name }) => name.startsWith('worker')),
      roles: () => running.filter(isRole),
      services: () => running.filter(isService),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

const isService = ({ name }: Service) => ['redis', 'azurite'].includes(name)
const isRole = (service: Service) => !isService(service)

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

/** For a fleet that starts within seconds, where somebody looks on. */
function autoscalerDefaults(dir: string, { min, max }: { min: number; max: number }): NodeJS.ProcessEnv {
  return {
    FRAMEFLEET_FLEET: 'local',
    FRAMEFLEET_LOCAL_DIR: dir,
    FRAMEFLEET_FLEET_MIN: String(min),
    FRAMEFLEET_FLEET_MAX: String(max),
    FRAMEFLEET_FLEET_CEILING: String(Math.max(100, max)),
    FRAMEFLEET_BACKLOG_SECONDS: '20',
    FRAMEFLEET_START_SECONDS: '3',
    FRAMEFLEET_TICK_SECONDS: '1',
    FRAMEFLEET_AUTOSCALER_PORT: '0',
  }
}

function roleDefaults(dir: string, workers: number): NodeJS.ProcessEnv {
  return {
    FRAMEFLEET_CACHE_DIR: join(dir, 'cache'),
    FRAMEFLEET_SCRATCH_DIR: join(dir, 'scratch'),
    FRAMEFLEET_CACHE_MAX_BYTES: String(20e9),
    // Several workers on one machine would fight for health ports; one local stack needs none but the API's.
    FRAMEFLEET_PRODUCER_PORT: '0',
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

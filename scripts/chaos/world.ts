import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { pino } from 'pino'
import { type Stack, startStack } from '../../src/cli/embedded-stack.ts'
import { uploadModel, uploadVideo } from '../../src/cli/local-files.ts'
import { type BlobStore, connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'
import { connectRedis } from '../../src/shared/redis.ts'
import { type Customers, createCustomers } from './customers.ts'
import { type Evidence, watchEvidence } from './evidence.ts'
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts'
import { type Order, prepareOrders } from './orders.ts'
import { deadlyModel, failingModel } from './poison-models.ts'
import { type Victim, findVictim, processesWith } from './processes.ts'

/** The real system, with a proxy before Redis and one before storage, its customers, and ways around the proxies for us. */
export type World = {
  dir: string
  stack: Stack
  prefix: string
  proxies: { redis: FaultProxy; storage: FaultProxy }
  /** The processes behind the proxies. */
  backing: {
    redis(): Promise<Victim | undefined>
    storage(): Promise<Victim | undefined>
    /** Waits until another process than this one serves. */
    isBack(what: 'redis' | 'storage', before: Victim): Promise<void>
  }
  /** Straight to Redis, and to the container of jobs. */
  redis: Redis
  media: BlobStore
  orders: { plain: Order[]; poison: Order[] }
  customers: Customers
  evidence: Evidence
  /** Ends of roles and services as the stack tells of them. */
  ends: { at: number; line: string }[]
  /** Everything ends; answers the command lines of what is still there. */
  stop(): Promise<string[]>
}

type Options = {
  dir: string
  workers: number
  seed: number
  env?: NodeJS.ProcessEnv
  /** Which orders are prepared. */
  wanted?: (order: Order) => boolean
  signal: AbortSignal
}

const prefix = '{framefleet}'
const silent = pino({ level: 'silent' })

export async function startWorld({ dir, workers, seed, env = {}, signal, wanted }: Options): Promise<World> {
  const closers: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const closer of closers.splice(0).toReversed()) await closer()
  }
  try {
    let between: Between | undefined
    const ends: World['ends'] = []
    const stack = await startStack({
      ...{ dir, workers, port: 0, restart: true },
      env: { ...machine(), ...quick, ...env },
      onEvent: (line) => ends.push({ at: Date.now(), line }),
      between: async (services) => {
        between = await placeProxies(services, seed)
        closers.push(between.proxies.redis.stop, between.proxies.storage.stop)
        return between.env
      },
    })
    closers.push(stack.stop)
    const { proxies, direct } = between as Between
    const redisUrl = { FRAMEFLEET_REDIS_URL: direct['FRAMEFLEET_REDIS_URL'] ?? '' }
    const redis = connectRedis({ ...redisUrl, FRAMEFLEET_REDIS_AUTH: 'url' }, silent, {
      name: 'chaos',
      patient: false,
    })
    closers.push(async () => redis.disconnect())
    const evidence = watchEvidence(direct['FRAMEFLEET_REDIS_URL'] ?? '', prefix)
    closers.push(evidence.stop)
    await evidence.ready()

    const clips = join(dir, 'clips')
    await mkdir(clips)
    const orders = await prepareOrders(clips, wanted)
    // URLs of sources name the proxy: it is the only address that roles know.
    const outside = createBlobStore(connectAccount(stack.env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''), 'media')
    const urls = new Map<string, string>()
    for (const { clip } of [...orders.plain, ...orders.poison])
      urls.set(clip, await uploadVideo(outside, clip))
    const system = { systemAccount: direct['FRAMEFLEET_SYSTEM_ACCOUNT'], systemContainer: 'system' }
    for (const model of [deadlyModel(), failingModel()]) await uploadModel(system, model)

    const serving = (name: string) => async () => {
      const pid = stack.services().find((service) => service.name === name)?.process.pid
      return pid === undefined ? undefined : await findVictim(pid)
    }
    const backing = { redis: serving('redis'), storage: serving('azurite') }
    return {
      ...{ dir, stack, prefix, proxies, redis, orders, evidence, ends },
      media: createBlobStore(connectAccount(direct['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''), 'media'),
      customers: createCustomers({ ...stack, urlOf: ({ clip }) => urls.get(clip) ?? '', signal }),
      backing: {
        ...backing,
        async isBack(what, before) {
          for (;;) {
            const now = await backing[what]()
            if (now && now.pid !== before.pid) return
            await pause(100, undefined, { signal })
          }
        },
      },
      async stop() {
        await close()
        return await processesWith(dir)
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

type Between = {
  proxies: World['proxies']
  /** Settings by which roles reach the proxies, and those that lead past them. */
  env: NodeJS.ProcessEnv
  direct: NodeJS.ProcessEnv
}

async function placeProxies(direct: NodeJS.ProcessEnv, seed: number): Promise<Between> {
  const redisUrl = new URL(direct['FRAMEFLEET_REDIS_URL'] ?? '')
  const account = direct['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''
  const endpoint = new URL(/BlobEndpoint=([^;]+)/.exec(account)?.[1] ?? '')
  const proxies = {
    redis: await startFaultProxy({ target: addressOf(redisUrl), seed }),
    storage: await startFaultProxy({ target: addressOf(endpoint), http: true, seed }),
  }
  const ports = { [redisUrl.port]: proxies.redis.port, [endpoint.port]: proxies.storage.port }
  const env = Object.entries(direct).map(([name, value = '']) => [
    name,
    value.replace(/(?<=127\.0\.0\.1:)\d+/, (port) => String(ports[port] ?? port)),
  ])
  return { proxies, direct, env: Object.fromEntries(env) as NodeJS.ProcessEnv }
}

const addressOf = ({ hostname, port }: URL) => ({ host: hostname, port: Number(port) })

/** What is done once in minutes or hours elsewhere is done often enough here that its turn comes; and a video is cut alike. */
const quick: NodeJS.ProcessEnv = {
  FRAMEFLEET_RECONCILE_SECONDS: '5',
  FRAMEFLEET_JANITOR_MINUTES: '0.1',
  FRAMEFLEET_STALL_SECONDS: '10',
  // Outputs are compared, and where segments begin shows in their bytes.
  FRAMEFLEET_PLAN_FRAMES_PER_SECOND: 'unknown',
}

/** Without settings of the machine that this runs on. */
function machine(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FRAMEFLEET_')))
}

export async function worldFolder(): Promise<string> {
  return await mkdtemp(join(tmpdir(), 'framefleet-chaos-'))
}

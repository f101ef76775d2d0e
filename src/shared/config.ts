import { z } from 'zod'
import { mostInstances } from './fleet.ts'

/** Settings that more than one role reads, grouped as the roles pick them. Units stand in the names. */
export const redisSettings = {
  FRAMEFLEET_REDIS_URL: z.url({ protocol: /^rediss?$/ }).describe('Redis, such as rediss://host:6380'),
  FRAMEFLEET_REDIS_AUTH: z
    .enum(['url', 'entra'])
    .default('url')
    .describe('how Redis knows us: `url`, by the password in it, or `entra`, by the token of our identity'),
  FRAMEFLEET_QUEUE_PREFIX: z
    .string()
    .regex(/^\{[a-z0-9-]{1,60}\}$/, 'must be a name in braces, such as {framefleet}')
    .default('{framefleet}')
    .describe('prefix of every key; the braces keep all keys in one slot of a Redis cluster'),
}

const account = z.string().min(1)
const container = z.string().regex(/^[a-z0-9](?:-?[a-z0-9]){2,62}$/, 'must be a container name')

export const mediaSettings = {
  FRAMEFLEET_MEDIA_ACCOUNT: account.describe(
    'storage account of inputs, jobs and outputs: https://name.blob.core.windows.net (identity), the same with a SAS, or a connection string',
  ),
  FRAMEFLEET_MEDIA_CONTAINER: container.default('media').describe('container of inputs, jobs and outputs'),
}

export const privateSettings = {
  FRAMEFLEET_PRIVATE_CONTAINER: container
    .default('private')
    .describe(
      'container of the media account that workers have no right to: where the outputs of jobs may be written',
    ),
}

export const systemSettings = {
  FRAMEFLEET_SYSTEM_ACCOUNT: account.describe('storage account of models and logs, in the same forms'),
  FRAMEFLEET_SYSTEM_CONTAINER: container.default('system').describe('container of models and logs'),
}

export const diskSettings = {
  FRAMEFLEET_CACHE_DIR: z
    .string()
    .default('/tmp/framefleet/cache')
    .describe('sources and models kept on this machine, shared by its processes'),
  FRAMEFLEET_CACHE_MAX_BYTES: z.coerce
    .number()
    .int()
    .positive()
    .default(50e9)
    .describe('the cache is kept under this'),
  FRAMEFLEET_SCRATCH_DIR: z
    .string()
    .default('/tmp/framefleet/scratch')
    .describe('temporary files of running work; on the same disk as the cache'),
}

const size = z.coerce.number().int().min(0).max(mostInstances)

export const fleetSettings = {
  FRAMEFLEET_FLEET_MIN: size
    .default(0)
    .describe('never fewer instances, as long as nobody has set the fleet by the API'),
  FRAMEFLEET_FLEET_MAX: size
    .default(4)
    .describe('never more instances, as long as nobody has set the fleet by the API'),
  FRAMEFLEET_FLEET_CEILING: size
    .default(100)
    .describe('what the API may set at most: whoever holds a token can ask for as much'),
}

export const fairSettings = {
  FRAMEFLEET_CLIENT_SHARE: z.coerce
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('how much of the fleet one caller may have while others wait'),
}

export const priceSettings = {
  FRAMEFLEET_WORKER_HOUR_PRICE: z.coerce
    .number()
    .min(0)
    .default(0)
    .describe('what an hour of one worker costs, in your currency; 0 shows no cost'),
}

const traceUrl = z.union([z.literal(''), z.url({ protocol: /^https?$/ })])

/** The first two have the names that every program knows them by. */
export const traceSettings = {
  OTEL_EXPORTER_OTLP_ENDPOINT: traceUrl
    .default('')
    .describe('where traces go by OTLP over HTTP, such as http://collector:4318; nothing: none are made'),
  APPLICATIONINSIGHTS_CONNECTION_STRING: z
    .string()
    .default('')
    .describe('Application Insights that traces go to, reached by identity'),
  FRAMEFLEET_TRACE_RATIO: z.coerce
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('how many jobs of all are traced'),
}

export const commonSettings = {
  FRAMEFLEET_LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent'])
    .default('info')
    .describe('log level'),
  FRAMEFLEET_LOG_SHIPPING_SECONDS: z.coerce
    .number()
    .min(0)
    .max(60)
    .default(5)
    .describe('how often log lines are added to `logs/` of the system container; 0 leaves them here'),
  FRAMEFLEET_HOST: z.string().default('127.0.0.1').describe('address that HTTP servers listen on'),
  FRAMEFLEET_DRAIN_MS: z.coerce
    .number()
    .int()
    .nonnegative()
    .default(25_000)
    .describe('time running work may take to end after SIGTERM before it is given back'),
}

/** Reads a role's settings; throws one sentence for each that is missing or wrong, and names no value. */
export function readConfig<Shape extends z.ZodRawShape>(shape: Shape, env: NodeJS.ProcessEnv) {
  // An empty value in an environment file means "not set".
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const read = z.object(shape).safeParse(given)
  if (read.success) return read.data
  const lines = read.error.issues.map((issue) => {
    const name = issue.path.join('.')
    return given[name] === undefined ? `${name} is not set` : `${name}: ${issue.message}`
  })
  throw new Error(`settings: ${lines.join('; ')}`)
}

import { AsyncLocalStorage } from 'node:async_hooks'
import { ComputeManagementClient } from '@azure/arm-compute'
import type { TokenCredential } from '@azure/identity'
import { z } from 'zod'
import { TransientError } from '../../shared/errors.ts'

/** The scale set that a resource id names; throws when it names something else. */
export function parseVmssId(id: string): { subscription: string; group: string; name: string } {
  const path =
    /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)\/providers\/Microsoft\.Compute\/virtualMachineScaleSets\/([^/]+)$/i
  const [, subscription, group, name] = path.exec(id) ?? []
  if (subscription === undefined || group === undefined || name === undefined) {
    throw new Error(
      'FRAMEFLEET_VMSS_ID must be the id of a scale set: /subscriptions/…/resourceGroups/…/providers/Microsoft.Compute/virtualMachineScaleSets/NAME.',
    )
  }
  return { subscription, group, name }
}

/** Azure asked to be left alone for longer than it is worth waiting for in place. */
export class Throttled extends TransientError {
  override name = 'Throttled'
}

/** A single answer may take so long; listings and retries are several. */
const answerWithinMs = 20_000
/** The SDK sleeps for as long as it is told to: not while a turn of ours waits. */
const longestPauseMs = 2_000
/** Azure's limits are by the minute: whoever was refused may ask again after one. */
const windowMs = 60_000
const longestQuietMs = 30 * 60_000

export type Arm = ReturnType<typeof connectArm>

/**
 * What we ask of Azure Resource Manager. `within` gives every request made inside it that signal. Where Azure asked to be
 * left alone nothing is sent until then: every call throws `Throttled`.
 */
export function connectArm({
  vmssId,
  endpoint,
  credential,
  now = Date.now,
}: {
  vmssId: string
  /** `https://management.azure.com`, or that of another cloud. */
  endpoint: string
  credential: TokenCredential
  now?: () => number
}) {
  const { subscription, group, name } = parseVmssId(vmssId)
  const origin = new URL(endpoint).origin
  const scopes = [`${origin}/.default`]
  const signals = new AsyncLocalStorage<AbortSignal>()
  let quietUntil = 0
  const client = new ComputeManagementClient(credential, subscription, {
    endpoint: origin,
    credentials: { scopes },
    retryOptions: { maxRetries: 3, retryDelayInMs: 250, maxRetryDelayInMs: longestPauseMs },
    allowInsecureConnection: origin.startsWith('http:'),
  })

  // The SDK gives a signal to the first page of a listing, and to no other.
  client.pipeline.addPolicy({
    name: 'framefleetSignal',
    sendRequest(request, next) {
      request.timeout = answerWithinMs
      request.abortSignal = signals.getStore() ?? request.abortSignal
      return next(request)
    },
  })
  // Nor does it keep what Azure says where a page can't be had.
  client.pipeline.addPolicy({
    name: 'framefleetPages',
    async sendRequest(request, next) {
      const answer = await next(request)
      const isPage = request.method === 'GET' && listing.test(new URL(request.url).pathname)
      if (answer.status >= 400 && isPage) throw refused(answer.status, answer.bodyAsText ?? '')
      return answer
    },
  })
  client.pipeline.addPolicy(
    {
      name: 'framefleetThrottled',
      async sendRequest(request, next) {
        if (now() < quietUntil) throw throttled(quietUntil - now())
        const answer = await next(request)
        const pauseMs = pauseAsked(answer.status, answer.headers.get('retry-after'))
        if (pauseMs <= longestPauseMs) return answer
        quietUntil = now() + pauseMs
        throw throttled(pauseMs)
      },
    },
    { afterPhase: 'Retry' },
  )
  if (origin.startsWith('http:')) tokenWithoutTls(client, credential, scopes)

  return {
    name,
    within: <T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> => signals.run(signal, work),
    get: () => client.virtualMachineScaleSets.get(group, name),
    /** Machines of a uniform set. */
    listInSet: () => client.virtualMachineScaleSetVMs.list(group, name, { expand: 'instanceView' }).byPage(),
    /** Machines of a flexible one, among all of its group. Azure tells how they are only where it is given this filter. */
    listInGroup: () =>
      client.virtualMachines
        .list(group, { filter: `'virtualMachineScaleSet/id' eq '${vmssId}'`, expand: 'instanceView' })
        .byPage(),
    /**
     * Begins, and does not wait: `submitted()` of the answer throws what Azure says at once. No more of the set than this is
     * ever sent.
     */
    resize: (sku: { name?: string; tier?: string; capacity: number }, etag: string | undefined) =>
      client.virtualMachineScaleSets.update(group, name, { sku }, { ifMatch: etag }),
    delete: (instanceIds: string[]) =>
      client.virtualMachineScaleSets.deleteInstances(group, name, { instanceIds }),
  }
}

const listing = /\/virtualMachines$/i

/** As the SDK throws what it reads of an answer: known by its name, for several copies of its core are installed. */
function refused(statusCode: number, body: string): Error {
  const { error } = z.looseObject({ error: Said }).catch({ error: {} }).parse(parsed(body))
  const { code, message = `Azure answered ${statusCode}.` } = error
  return Object.assign(new Error(message), { name: 'RestError', statusCode, code })
}

const Said = z.object({ code: z.string().optional(), message: z.string().optional() })

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

const throttled = (pauseMs: number) =>
  new Throttled(`Azure has had too many requests: it takes more in ${Math.ceil(pauseMs / 1000)} s.`, {
    retryAfterMs: pauseMs,
  })

/** In ms; 0 when nothing was asked. Azure's own words are seconds; a date is allowed as well. */
function pauseAsked(status: number, retryAfter: string | undefined): number {
  if (status !== 429 && (status !== 503 || retryAfter === undefined)) return 0
  const seconds = Number(retryAfter)
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(retryAfter ?? '') - Date.now()
  return Number.isFinite(ms) ? Math.min(ms, longestQuietMs) : windowMs
}

/** The SDK sends no token without TLS. On this machine alone we do: settings allow plain HTTP for loopback only. */
function tokenWithoutTls(client: ComputeManagementClient, credential: TokenCredential, scopes: string[]) {
  client.pipeline.removePolicy({ name: 'bearerTokenAuthenticationPolicy' })
  client.pipeline.addPolicy({
    name: 'framefleetToken',
    async sendRequest(request, next) {
      const token = await credential.getToken(scopes, { abortSignal: request.abortSignal })
      request.headers.set('Authorization', `Bearer ${token?.token ?? ''}`)
      return await next(request)
    },
  })
}

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { TokenCredential } from '@azure/identity'
import {
  ArmError,
  type FakeOperation,
  type FakeScaleSetOptions,
  createFakeScaleSet,
} from './fake-scale-set.ts'

/**
 * Azure Resource Manager for one scale set, as far as an autoscaler meets it. Azure can't be here, so this keeps its
 * contract over HTTP; beside each behaviour stands what Microsoft says of it (the title of a page of learn.microsoft.com),
 * or where it was seen. Time stands still in it: what is under way ends when the test says so (`settle`).
 */
const token = 'a-token-that-nobody-may-see-in-a-log'
export const secretToken = token

const group = '/subscriptions/s-1/resourceGroups/fleet-rg'
const setPath = `${group}/providers/Microsoft.Compute/virtualMachineScaleSets/fleet`
const groupPath = `${group}/providers/Microsoft.Compute/virtualMachines`
const operationsPath = '/subscriptions/s-1/providers/Microsoft.Compute/locations/westeurope/operations'
const version = 'api-version=2026-04-01'

type Answer = { status: number; json?: object; headers?: Record<string, string> }
type Fault = Answer & { count: number; only: string }

export type FakeArmOptions = FakeScaleSetOptions & {
  /** Machines on a page of a listing. */
  pageSize?: number
}
export type FakeArm = Awaited<ReturnType<typeof startFakeArm>>

export async function startFakeArm({ pageSize = 2, ...options }: FakeArmOptions = {}) {
  const set = createFakeScaleSet(options)
  const requests: { method: string; path: string; body: string }[] = []
  let faults: Fault[] = []
  let before: { only: string; work: () => void } | undefined

  const server = createServer((request, response) => void serve(request, response))
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  async function serve(request: IncomingMessage, response: ServerResponse) {
    const { status, json, headers } = await answer(request).catch((error: unknown) => failure(error))
    response
      .writeHead(status, { 'Content-Type': 'application/json', ...headers })
      .end(json === undefined ? undefined : JSON.stringify(json))
  }

  async function answer(request: IncomingMessage): Promise<Answer> {
    const url = new URL(request.url ?? '', endpoint)
    const { method = '' } = request
    const body = await text(request)
    requests.push({ method, path: url.pathname, body })
    const line = `${method} ${url.pathname}`

    // "Azure REST API reference": every request has a bearer token and says which version of the API it means.
    if (request.headers.authorization !== `Bearer ${token}`) {
      throw new ArmError(
        401,
        'AuthenticationFailed',
        'Authentication failed. The Authorization header is missing.',
      )
    }
    if (!url.searchParams.has('api-version')) {
      throw new ArmError(400, 'MissingApiVersionParameter', 'The api-version query parameter is required.')
    }
    if (before !== undefined && line.endsWith(before.only)) {
      const { work } = before
      before = undefined
      work()
    }
    const fault = faults.find(({ count, only }) => count > 0 && line.endsWith(only))
    if (fault !== undefined) {
      fault.count -= 1
      return fault
    }

    const operation = url.pathname.startsWith(operationsPath)
      ? set.operations.get(url.pathname.slice(operationsPath.length + 1))
      : undefined
    if (operation !== undefined) return stateOf(operation, url)
    if (line === `GET ${setPath}`) return { status: 200, json: { name: 'fleet', id: setPath, ...set.json() } }
    if (line === `PATCH ${setPath}`) return update(body, request.headers['if-match'])
    if (line === `GET ${setPath}/virtualMachines`) return page(url, set.machines(showsView(url)))
    if (line === `GET ${groupPath}`) return listGroup(url)
    if (line === `POST ${setPath}/delete`) return remove(body)
    throw new ArmError(404, 'ResourceNotFound', `The Resource '${url.pathname}' was not found.`)
  }

  /** "Track asynchronous Azure operations": by Azure-AsyncOperation a status, by Location 202 until it has ended. */
  function stateOf({ state, error }: FakeOperation, url: URL): Answer {
    if (!url.searchParams.has('location')) {
      return { status: 200, json: { status: state, ...(state === 'Failed' && { error }) } }
    }
    if (state === 'InProgress') return { status: 202, headers: { Location: url.href, 'Retry-After': '0' } }
    return state === 'Failed' ? { status: 409, json: { error } } : { status: 200 }
  }

  /** Only on a version that the caller knows, if it names one: 412. The answer has the set as it is to be. */
  function update(body: string, ifMatch: string | undefined): Answer {
    if (ifMatch !== undefined && ifMatch !== set.etag()) {
      throw new ArmError(
        412,
        'PreconditionFailed',
        'The condition in the HTTP conditional header(s) is not met.',
      )
    }
    const { sku, ...model } = JSON.parse(body) as { sku: { name?: string; capacity: number } }
    // Stricter than Azure, which would take it: nothing of ours may change what machines are made of.
    if (Object.keys(model).length > 0 || sku.name !== set.json().sku.name) {
      throw new ArmError(400, 'PropertyChangeNotAllowed', `Changing this is not allowed: ${body}`)
    }
    const id = set.resize(sku.capacity)
    const headers = {
      'Azure-AsyncOperation': `${endpoint}${operationsPath}/${id}?${version}`,
      'Retry-After': '0',
    }
    return { status: 200, json: set.json(), headers }
  }

  const showsView = (url: URL) => url.searchParams.get('$expand') === 'instanceView'

  /** "Virtual Machines - List": of the whole group, unless filtered; the instance view may only be asked for with a filter. */
  function listGroup(url: URL): Answer {
    const filter = url.searchParams.get('$filter')
    if (filter === null && showsView(url)) {
      throw new ArmError(400, 'BadRequest', "The $expand 'instanceView' needs a $filter.")
    }
    if (filter !== null && filter !== `'virtualMachineScaleSet/id' eq '${setPath}'`) {
      throw new ArmError(400, 'BadRequest', `Invalid $filter: ${filter}`)
    }
    const isFlexible = set.json().properties.orchestrationMode === 'Flexible'
    const machines = isFlexible ? set.machines(showsView(url)) : []
    const other = {
      name: 'jump-host',
      location: 'westeurope',
      properties: { provisioningState: 'Succeeded' },
    }
    return page(url, filter === null ? [other, ...machines] : machines)
  }

  /** Pages hang together by `nextLink`, which has all that the next request needs; spaces stand in it as they are. */
  function page(url: URL, machines: object[]): Answer {
    const from = Number(url.searchParams.get('$skiptoken') ?? 0)
    const next = new URL(url)
    next.searchParams.set('$skiptoken', String(from + pageSize))
    const more = from + pageSize < machines.length
    const value = machines.slice(from, from + pageSize)
    const nextLink = next.href.replaceAll(/%20|\+/g, ' ')
    return { status: 200, json: { value, ...(more && { nextLink }) } }
  }

  function remove(body: string): Answer {
    const { instanceIds = [] } = JSON.parse(body) as { instanceIds?: string[] }
    if (instanceIds.length === 0) {
      throw new ArmError(400, 'InvalidParameter', "Required parameter 'instanceIds' is missing (null).")
    }
    const id = set.delete(instanceIds)
    const location = `${endpoint}${operationsPath}/${id}?location&${version}`
    return { status: 202, headers: { Location: location, 'Retry-After': '0' } }
  }

  const credential: TokenCredential = {
    getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }),
  }
  return {
    ...{ endpoint, vmssId: setPath, credential, requests, set },
    sent: (method: string, end = '') =>
      requests.filter((each) => each.method === method && each.path.endsWith(end)),
    /** "Troubleshooting API throttling errors": 429, and after how many seconds to come back. */
    throttle({ count = 1, retryAfter }: { count?: number; retryAfter?: string } = {}) {
      const message =
        'The server rejected the request because too many requests have been received for this subscription.'
      const details = [{ code: 'TooManyRequests', target: 'HighCostGetVMScaleSet' }]
      const json = { error: { code: 'OperationNotAllowed', message, details } }
      const headers = retryAfter === undefined ? undefined : { 'Retry-After': retryAfter }
      faults.push({ count, only: '', status: 429, headers, json })
    },
    /** "Troubleshoot Azure RBAC": the sentence names the action that is missing. */
    forbid(action: string, only: string) {
      const message = `The client '7c0c' does not have authorization to perform action 'Microsoft.Compute/virtualMachineScaleSets/${action}' over scope '${setPath}' or the scope is invalid.`
      faults.push({ count: Infinity, only, ...failure(new ArmError(403, 'AuthorizationFailed', message)) })
    },
    allowAll() {
      faults = []
    },
    /** Runs once, before the next request that ends so is answered. */
    beforeNext(only: string, work: () => void) {
      before = { only, work }
    },
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** "Error response": one object `error` with a code and a message. */
function failure(error: unknown): Answer {
  const { status, code, message } =
    error instanceof ArmError ? error : new ArmError(500, 'InternalServerError', String(error))
  return { status, json: { error: { code, message } } }
}

import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Order } from './orders.ts'

/** A job as the customer knows it. */
export type Ticket = {
  order: Order
  askedAt: number
  /** Once it is accepted. */
  id?: string
  status?: string
  endedAt?: number
  error?: { code: string; message: string }
  /** Its end was asked for, and `promised` once the API said so. */
  cancel?: 'asked' | 'promised'
  /** An answer that no customer should ever get. */
  refused?: string
}

const endStates = new Set(['succeeded', 'failed', 'cancelled'])
const askEveryMs = 500
const answerWithinMs = 8_000

type Endpoint = { apiUrl: string; token: string; urlOf(order: Order): string; signal: AbortSignal }

export type Customers = ReturnType<typeof createCustomers>

/**
 * Users of the API as they should be: they ask again when an answer doesn't come, under the same Idempotency-Key, and look
 * after each job until it has ended, or the signal says that they may go.
 */
export function createCustomers({ apiUrl, token, urlOf, signal }: Endpoint) {
  const tickets: Ticket[] = []
  const open = new Set<Promise<void>>()
  let closing = false

  /** The answer, or undefined when there was none that counts: the system is away or busy. */
  async function call(method: string, path: string, init: { body?: string; key?: string } = {}) {
    try {
      const answer = await fetch(`${apiUrl}${path}`, {
        method,
        body: init.body,
        headers: {
          authorization: `Bearer ${token}`,
          ...(init.body ? { 'content-type': 'application/json' } : {}),
          ...(init.key ? { 'idempotency-key': init.key } : {}),
        },
        signal: AbortSignal.any([signal, AbortSignal.timeout(answerWithinMs)]),
      })
      const body = (await answer.json()) as Record<string, unknown>
      return answer.status >= 500 || answer.status === 429 ? undefined : { status: answer.status, body }
    } catch {
      return undefined
    }
  }

  const moment = async () => await pause(askEveryMs, undefined, { signal }).catch(() => {})

  async function submit(ticket: Ticket): Promise<void> {
    const key = randomUUID()
    const body = JSON.stringify({ ...ticket.order.request, source: { url: urlOf(ticket.order) } })
    while (!signal.aborted) {
      const answer = await call('POST', '/v1/jobs', { body, key })
      if (answer?.status === 202) ticket.id = answer.body['id'] as string
      else if (answer) ticket.refused = `${answer.status} ${String(answer.body['detail'])}`
      if (answer) return
      await moment()
    }
  }

  async function follow(ticket: Ticket): Promise<void> {
    await submit(ticket)
    while (!signal.aborted && ticket.id !== undefined && ticket.endedAt === undefined) {
      await moment()
      const answer = await call('GET', `/v1/jobs/${ticket.id}`)
      // A job that is not known may only be not known for the moment: the checks at the end say what is lost.
      if (answer?.status !== 200) continue
      ticket.status = answer.body['status'] as string
      if (!endStates.has(ticket.status)) continue
      ticket.endedAt = Date.now()
      ticket.error = (answer.body['error'] as Ticket['error'] | null) ?? undefined
    }
  }

  /** Asks for a job; `done` resolves when it has ended. */
  function ask(order: Order): { ticket: Ticket; done: Promise<void> } {
    const ticket: Ticket = { order, askedAt: Date.now() }
    tickets.push(ticket)
    const done = follow(ticket).finally(() => open.delete(done))
    open.add(done)
    return { ticket, done }
  }

  return {
    tickets,
    ask,
    /** Asks for one of the orders after the other, from the given one on, until the customers leave. */
    async keepAsking(orders: Order[], from: number): Promise<void> {
      for (let next = from; !closing && !signal.aborted; next++) {
        await ask(orders[next % orders.length] as Order).done
      }
    },
    /** Asks for the end of a job that is under way; answers its id unless the API would not promise it. */
    async cancel(ticket: Ticket): Promise<string | undefined> {
      ticket.cancel = 'asked'
      const answer = await call('DELETE', `/v1/jobs/${ticket.id}`)
      if (answer?.status !== 202) return undefined
      ticket.cancel = 'promised'
      return ticket.id
    },
    underWay: () => tickets.filter(({ id, endedAt }) => id !== undefined && endedAt === undefined),
    /** Asks for nothing new, and waits for what was asked for, but no longer than `withinMs`. */
    async leave(withinMs: number): Promise<void> {
      closing = true
      const late = new AbortController()
      const tooLate = pause(withinMs, undefined, { signal: late.signal }).catch(() => {})
      await Promise.race([everyJob(), tooLate])
      late.abort()
    },
  }

  async function everyJob(): Promise<void> {
    while (open.size > 0) await Promise.all(open)
  }
}

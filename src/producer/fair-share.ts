import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance } from 'fastify'
import { InputError } from '../shared/errors.ts'

/** A caller asks for more than its share of this process. */
export class TooManyRequests extends InputError {
  readonly retryAfterSeconds: number
  /** For Bull Board, which answers by this. */
  readonly statusCode = 429
  constructor(sentence: string, retryAfterSeconds = 1) {
    const later = retryAfterSeconds === 1 ? 'a second' : `${retryAfterSeconds} seconds`
    super('too-many-requests', `${sentence} Try again in ${later}.`)
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/**
 * Refuses what one caller sends beyond so many requests a second, before anything else is done about it: a flood by one
 * caller is no reason for another to wait. To be called before routes are added, and after tokens are looked at.
 */
export async function limitRates(app: FastifyInstance, perSecond: number): Promise<void> {
  await app.register(rateLimit, {
    max: perSecond,
    timeWindow: 1_000,
    keyGenerator: (request) => request.client,
    // Pages that need no token: what asks for them must always hear.
    allowList: (request) => request.client === '',
    errorResponseBuilder: (_request, { max }) =>
      new TooManyRequests(`More than ${max} requests a second by one caller.`),
  })
}

/**
 * What each caller may have open at once, and all of them together; throws TooManyRequests beyond. Answers how to give a seat
 * back; that may be called twice.
 */
export function createSeats({ each, all = Infinity }: { each: number; all?: number }, what: string) {
  const taken = new Map<string, number>()
  let sum = 0
  return (client: string): (() => void) => {
    const own = taken.get(client) ?? 0
    if (own >= each) throw new TooManyRequests(`More than ${each} ${what} for one caller.`)
    if (sum >= all) throw new TooManyRequests(`More than ${all} ${what}.`)
    taken.set(client, own + 1)
    sum++
    let left = false
    return () => {
      if (left) return
      left = true
      sum--
      const rest = (taken.get(client) ?? 1) - 1
      if (rest > 0) taken.set(client, rest)
      else taken.delete(client)
    }
  }
}

/** Lets each caller have so many pieces of work under way at once; throws TooManyRequests beyond. */
export function createShares(atOnce: number, what = 'jobs are being accepted') {
  const take = createSeats({ each: atOnce }, what)
  return async <T>(client: string, work: () => Promise<T>): Promise<T> => {
    const leave = take(client)
    try {
      return await work()
    } finally {
      leave()
    }
  }
}

import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { type DequeuedMessageItem, type QueueClient, RestError } from '@azure/storage-queue'
import type { BlobStore } from '../../shared/blob-store.ts'
import { retryAfterOf } from '../../shared/classify.ts'
import type { Logger } from '../../shared/log.ts'
import { TooMuchQueued } from '../admission.ts'
import type { Arrive } from './arrive.ts'
import { type BlobEvent, namesIn } from './event.ts'
import { type Lease, holdMessage } from './lease.ts'
import { type Message, readMessage, waitedOnce } from './message.ts'
import type { ArrivalMetrics } from './metrics.ts'
import { type SetAside, isPassing } from './set-aside.ts'

export type PullDeps = {
  queue: QueueClient
  nameOf: BlobStore['nameOf']
  arrive: Arrive
  setAside: SetAside
  metrics: ArrivalMetrics
  log: Logger
}

type Pace = {
  /** How long a message is ours before others see it again; renewed while it is worked on. */
  leaseSeconds: number
  /** The pause while nothing comes, growing from one to the other. */
  idleMs: [least: number, most: number]
  /** Times that a message is tried, those not counted that waited for the world. */
  tries: number
  longestWaitSeconds: number
}

const usual: Pace = { leaseSeconds: 60, idleMs: [1_000, 10_000], tries: 10, longestWaitSeconds: 300 }

/** Messages worked on at once by one producer. */
const atOnce = 8
/** What is under way when the producer leaves goes back to the queue by itself where it takes longer. */
const stopMs = 5_000

/**
 * Takes what Event Grid put into a Storage queue, until stopped. Each message is deleted only once what it says has been done,
 * so it may come to several producers, and again: starting a job is safe to repeat.
 *
 *   on the queue ──► ours ──► done, or not for us ─────────────────────────► deleted
 *        ▲             │ no room, storage or Redis away ─► later, its wait noted in it
 *        ├─ in a while ┤ an unknown error, up to ten times ─► later
 *        │             └ no event, or failed each time ─► quarantine ──► deleted
 *        └─ lease over, where the producer died
 */
export function startPulling(deps: PullDeps, pace: Partial<Pace> = {}) {
  const { leaseSeconds, idleMs, tries, longestWaitSeconds } = { ...usual, ...pace }
  const { queue, nameOf, arrive, setAside, metrics, log } = deps
  const leaving = new AbortController()
  const { signal } = leaving
  const loop = run()

  async function run(): Promise<void> {
    let idle = idleMs[0]
    let away = false
    while (!signal.aborted) {
      try {
        const wait = await takeSome()
        if (away) log.info('the queue of what lands is back')
        away = false
        idle = wait.came ? idleMs[0] : Math.min(2 * idle, idleMs[1])
        if (!wait.came || wait.ms > 0)
          await pause(Math.max(wait.ms, wait.came ? 0 : idle), undefined, { signal })
      } catch (error) {
        if (signal.aborted) return
        if (!away) log.warn({ err: error }, 'the queue of what lands can not be read; trying again')
        away = true
        if (isStatus(error, 404)) await queue.createIfNotExists().catch(() => {})
        await pause(idleMs[1], undefined, { signal }).catch(() => {})
      }
    }
  }

  /** Works on the next messages; answers whether there were some, and how long to wait where there is no use in more. */
  async function takeSome(): Promise<{ came: boolean; ms: number }> {
    const { receivedMessageItems: items } = await queue.receiveMessages({
      numberOfMessages: atOnce,
      visibilityTimeout: leaseSeconds,
      abortSignal: signal,
    })
    const waits = await Promise.all(items.map(handle))
    return { came: items.length > 0, ms: Math.max(0, ...waits) }
  }

  /** Answers the milliseconds that others should wait as well. */
  async function handle(item: DequeuedMessageItem): Promise<number> {
    const lease = holdMessage(queue, item, leaseSeconds)
    try {
      const message = readMessage(item.messageText)
      try {
        await work(message, item.dequeueCount)
        await lease.drop()
        return 0
      } catch (error) {
        return await later(error, message, item.dequeueCount, lease)
      }
    } catch (error) {
      // Its lease ends by itself, and then somebody tries again.
      if (!isNotOurs(error)) log.warn({ err: error }, 'a message of what landed could not be dealt with')
      return 0
    } finally {
      lease.release()
    }
  }

  const namesOf = (event: BlobEvent) => (event.kind === 'blob' ? namesIn(event, nameOf) : [])

  async function giveUp(message: Message, why: string): Promise<void> {
    metrics.arrivals.inc({ way: 'queue', outcome: 'poison' })
    const [name] = message.events?.flatMap(namesOf) ?? []
    await setAside({
      entry: `message ${digest(message.text)}`,
      message: why,
      payload: name ?? message.text,
    })
  }

  async function work(message: Message, dequeued: number): Promise<void> {
    const { events, text, waited } = message
    if (!events) {
      metrics.arrivals.inc({ way: 'queue', outcome: 'unreadable' })
      await setAside({
        ...{ entry: `message ${digest(text)}`, payload: text, reason: 'unreadable' },
        message: 'A message of the queue is no event of Event Grid.',
      })
      return log.warn({ chars: text.length }, 'a message of the queue could not be read: it is in quarantine')
    }
    // Whoever took it died of it each time, and could say nothing.
    if (dequeued - waited > 2 * tries)
      return await giveUp(
        message,
        `A message of the queue was taken ${dequeued} times, and never dealt with.`,
      )
    for (const event of events) {
      const names = namesOf(event)
      if (names.length > 0) await arrive(names, { way: 'queue' })
      else metrics.arrivals.inc({ way: 'queue', outcome: 'ignored' })
    }
  }

  async function later(error: unknown, message: Message, dequeued: number, lease: Lease): Promise<number> {
    const err = error instanceof Error ? error.message : String(error)
    const passing = isPassing(error)
    if (!passing && dequeued - message.waited >= tries) {
      await giveUp(message, `What a message says could not be done in ${tries} tries: ${err}`)
      await lease.drop()
      return 0
    }
    const asked =
      error instanceof TooMuchQueued ? error.retryAfterSeconds : (retryAfterOf(error) ?? 0) / 1_000
    const own = 2 ** Math.min(8, dequeued - (passing ? 0 : message.waited))
    const seconds = Math.ceil(Math.min(longestWaitSeconds, Math.max(asked, own)))
    metrics.waits.inc({ way: 'queue' })
    log.warn({ err, seconds }, 'what landed has to wait')
    await lease.giveBack(seconds, passing ? waitedOnce(message) : undefined)
    // Where there is no room for one there is none for those behind it.
    return error instanceof TooMuchQueued ? seconds * 1_000 : 0
  }

  return {
    /** Takes nothing new, and waits a moment for what is under way. */
    async stop(): Promise<void> {
      leaving.abort()
      await Promise.race([loop.catch(() => {}), pause(stopMs, undefined, { ref: false })])
    },
  }
}

const digest = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 16)

const isStatus = (error: unknown, status: number) => error instanceof RestError && error.statusCode === status

/** The lease ended meanwhile, and somebody else has it, or has dealt with it. */
const isNotOurs = (error: unknown) =>
  error instanceof RestError && ['MessageNotFound', 'PopReceiptMismatch'].includes(error.code ?? '')

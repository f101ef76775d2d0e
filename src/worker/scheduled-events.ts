import { once } from 'node:events'
import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import type { Logger } from '../shared/log.ts'

/**
 * Azure's Scheduled Events: the machine's own metadata service (IMDS) tells of its end beforehand, a spot machine's
 * thirty seconds before.
 *
 *   watching ──an event names this machine──► told ──the worker is empty──► acknowledged
 *      └─ IMDS slow, away or talking nonsense: said once, and asked again
 */
const Events = z.object({
  Events: z.array(
    z.object({
      EventId: z.string(),
      EventType: z.string(),
      Resources: z.array(z.string()).default([]),
      EventStatus: z.string().default('Scheduled'),
      /** Like `Mon, 19 Sep 2016 18:29:47 GMT`; empty once it has begun. */
      NotBefore: z.string().default(''),
    }),
  ),
})
export type Events = z.infer<typeof Events>

export type Notice = { eventId: string; type: string; withinMs: number }

type Watch = {
  /** The machine's name; called at each look. */
  onLook(machine: string): Promise<void>
  /** Called once. */
  onNotice(notice: Notice, machine: string): void
}

const ends = new Set(['Preempt', 'Terminate', 'Reboot', 'Redeploy'])
const eventsPath = '/metadata/scheduledevents?api-version=2020-07-01'
const namePath = '/metadata/instance/compute/name?api-version=2021-02-01&format=text'
const everyMs = 1_000
const patienceMs = 5_000
/** Of the notice, what giving back, closing and acknowledging take. */
const marginMs = 5_000

/** The first end that is announced for a machine, and the milliseconds that work has until then. Pure. */
export function noticeFor({ Events: events }: Events, machine: string, now: number): Notice | undefined {
  const notices = events
    .filter(({ EventType }) => ends.has(EventType))
    .filter(({ Resources }) => Resources.some((name) => name.toLowerCase() === machine.toLowerCase()))
    .filter(({ EventStatus }) => EventStatus !== 'Completed')
    .map(({ EventId: eventId, EventType: type, EventStatus, NotBefore }) => {
      const at = EventStatus === 'Scheduled' ? Date.parse(NotBefore) : Number.NaN
      // One that has begun names no time: there is none.
      return { eventId, type, withinMs: Math.max(0, (Number.isNaN(at) ? now : at) - marginMs - now) }
    })
  return notices.sort((a, b) => a.withinMs - b.withinMs)[0]
}

/** An agent of our own: everybody else's may go through a proxy, which would ask the IMDS of its own machine. */
const direct = new Agent()

async function askImds(
  url: string,
  path: string,
  { body, ...init }: RequestOptions & { body?: string } = {},
) {
  const asking = request(new URL(path, url), {
    ...init,
    headers: { metadata: 'true' },
    agent: direct,
    signal: AbortSignal.timeout(patienceMs),
  })
  // It may break off after its answer began, which the answer tells.
  asking.on('error', () => {})
  asking.end(body)
  const [answer] = (await once(asking, 'response')) as [IncomingMessage]
  const said = await text(answer)
  const { statusCode = 0 } = answer
  if (statusCode >= 200 && statusCode < 300) return said
  throw new Error(`IMDS answered ${statusCode}`)
}

/** Azure's name of this machine, such as `gpus_7`. Throws while IMDS does not answer. */
export const readMachineName = async (url: string): Promise<string> => (await askImds(url, namePath)).trim()

/**
 * Asks IMDS at `url` once a second, until `signal` or for as long as the process lives; each notice is given once.
 * `acknowledge` tells Azure that it need not wait for the time it gave: to be called when nothing is under way here any more.
 */
export function watchScheduledEvents(
  url: string,
  log: Logger,
  { onLook, onNotice, signal }: Watch & { signal?: AbortSignal },
) {
  let away = false
  const told = new Set<string>()
  let looked: (doomed: boolean) => void = () => {}
  const doomed = new Promise<boolean>((resolve) => {
    looked = resolve
  })

  async function watch(): Promise<void> {
    let machine: string | undefined
    while (!signal?.aborted) {
      try {
        machine ??= await readMachineName(url)
        const notice = noticeFor(
          Events.parse(JSON.parse(await askImds(url, eventsPath))),
          machine,
          Date.now(),
        )
        if (away) log.info('scheduled events are heard again')
        away = false
        // A Redis that hangs must not keep us from hearing.
        void onLook(machine).catch(() => {})
        if (notice && !told.has(notice.eventId)) onNotice(notice, machine)
        if (notice) told.add(notice.eventId)
        looked(notice !== undefined)
      } catch (error) {
        looked(false)
        if (!away) log.warn({ err: (error as Error).message }, 'scheduled events are not heard; asking on')
        away = true
      }
      await pause(everyMs)
    }
  }
  void watch()

  return {
    /** Whether the first look found that this machine is about to go. */
    doomed,
    async acknowledge({ eventId }: Notice): Promise<void> {
      const body = JSON.stringify({ StartRequests: [{ EventId: eventId }] })
      // Azure goes ahead by itself when its time has come.
      await askImds(url, eventsPath, { method: 'POST', body }).catch((error: Error) =>
        log.warn({ err: error.message }, 'the scheduled event could not be acknowledged'),
      )
    },
  }
}

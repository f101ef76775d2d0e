import type { Redis } from 'ioredis'
import type { Logger } from '../shared/log.ts'
import type { OpenJob } from '../shared/job-files.ts'
import type { Quarantine } from '../shared/quarantine.ts'
import { type AnyQueueName, queues } from '../shared/queues.ts'
import type { Chore } from './chores.ts'
import { type Fault, faultOf, jobOf } from './entry-fault.ts'
import { createEvidence } from './evidence.ts'
import { type Place, type SeenEntry, type WrongQueueKey, createRawQueues } from './raw-queues.ts'
import type { Resumed } from './resume.ts'
import { createKeySweeper } from './sweep-keys.ts'

export type SweepDeps = {
  redis: Redis
  prefix: string
  quarantine: Pick<Quarantine, 'put' | 'drop'>
  /** Puts what is missing of a job back on the queues; does nothing for a job that has ended or never was. */
  heal(jobId: string): Promise<Resumed>
  /** The jobs that have not ended, as Blob knows them. */
  openJobs(): AsyncIterable<OpenJob>
  log: Logger
  everyMs?: number
  /** A job that was accepted later than this ago is still being put on the queues by whoever accepts it. */
  settledMs?: number
}

/** Where entries are, which end of it matters most, and how far each pass goes on from where the last one stopped. */
const places: { name: Place; head: [from: number, to: number]; chunks: number }[] = [
  { name: 'active', head: [0, 99], chunks: 1 },
  { name: 'wait', head: [-100, -1], chunks: 10 },
  { name: 'paused', head: [-100, -1], chunks: 1 },
  { name: 'prioritized', head: [0, 99], chunks: 10 },
  { name: 'delayed', head: [0, 99], chunks: 10 },
  { name: 'waiting-children', head: [0, 99], chunks: 4 },
  { name: 'failed', head: [-100, -1], chunks: 4 },
  { name: 'completed', head: [-100, -1], chunks: 4 },
]
// Quarantine first: what is wrong elsewhere is noted in it.
const order: AnyQueueName[] = (Object.keys(queues) as AnyQueueName[])
  // Who takes from these mends them.
  .filter((name) => name !== 'autoscale' && name !== 'schedule')
  .toSorted((a, b) => Number(b === 'quarantine') - Number(a === 'quarantine'))
const chunk = 100
const passMs = 4_000
const mostHealed = 100
/** About ten minutes: storage may be away. */
const mostTries = 120

/**
 * Takes what can't be read off the queues, with evidence, before it holds anybody up. BullMQ tries broken entries for
 * ever, Bull Board shows none where one is broken, and a key of the wrong type stops its queue.
 *
 *   key of the wrong type   → quarantine, removed; entries that were listed in it are listed again, and what it held of
 *                             jobs is made anew from Blob
 *   entry that can't be     → quarantine, removed; if it was part of a running job, that is healed
 *   good entry in no place  → back where its state says
 *
 * Each pass looks at what is taken next, and goes on through the rest from where the last one stopped.
 */
export function createSweeper({ everyMs = 5_000, settledMs = 30_000, ...deps }: SweepDeps): Chore {
  const { redis, prefix, quarantine, heal, openJobs, log } = deps
  const raw = createRawQueues(redis, prefix)
  const evidence = createEvidence(quarantine, log)
  const sweepKeys = createKeySweeper({ redis, prefix, evidence, log })
  const cursors = new Map<string, number>()
  let scanned = '0'
  // A list was lost: all keys are gone through at once and not bit by bit.
  let lost = false
  /** Jobs to be healed, and how often that failed. */
  const broken = new Map<string, number>()
  let allBroken = false

  return { name: 'sweep', everyMs, run: pass }

  async function pass(signal: AbortSignal): Promise<Record<string, number>> {
    const until = performance.now() + passMs
    const goesOn = () => !signal.aborted && performance.now() < until
    const done = { quarantined: 0, relisted: 0, healed: 0 }

    for (const queue of order) {
      for (const key of await raw.wrongKeys(queue)) {
        if (await dropKey(queue, key)) done.quarantined++
      }
      for (const place of places) {
        const [from, to] = place.head
        await look(queue, place.name, from, to)
        for (let i = 0; i < place.chunks && goesOn(); i++) if (!(await goOn(queue, place.name))) break
      }
    }
    const others: string[] = []
    do others.push(...(await scanOn()))
    while (lost && goesOn())
    await lookBeside(others)
    await healJobs()
    return done

    /** Looks at a range; answers how many entries it held and how many of them went. */
    async function look(queue: AnyQueueName, place: Place, from: number, to: number) {
      const found = await raw.peek(queue, place, from, to)
      let gone = 0
      for (const entry of found) {
        const fault = faultOf(queue, entry, Date.now())
        // What only looks odd may be under way; it is looked at again when it is back.
        if (!fault || (place === 'active' && !fault.unreadable)) continue
        if (await takeOut(queue, entry, fault, place)) gone++
      }
      return { looked: found.length, gone }
    }

    async function goOn(queue: AnyQueueName, place: Place): Promise<boolean> {
      const key = `${queue} ${place}`
      const from = cursors.get(key) ?? 0
      const { looked, gone } = await look(queue, place, from, from + chunk - 1)
      cursors.set(key, looked === 0 ? 0 : from + looked - gone)
      return looked > 0
    }

    async function takeOut(
      queue: AnyQueueName,
      entry: SeenEntry,
      fault: Fault,
      place?: Place,
    ): Promise<boolean> {
      const jobId = jobOf(queue, entry.id)
      const { data, opts } = entry.fields
      const shown = /\bopt(?:ion)?s\b/.test(fault.why) ? opts : data
      const name = entry.id.toString()
      const removed = await evidence.takeOut(
        {
          ...{ queue, entry: name, jobId },
          message: `The entry ${name.slice(0, 100)} of the queue ${queue} ${fault.why}.`,
          payload: typeof shown === 'object' ? shown.head : (shown ?? ''),
        },
        async () => await raw.remove(queue, entry, { place, comesBack: jobId !== undefined }),
      )
      if (!removed) return false
      done.quarantined++
      if (jobId !== undefined) broken.set(jobId, 0)
      return true
    }

    /** Finds entries that are in no place among the next keys; answers those that are no queue's. */
    async function scanOn(): Promise<string[]> {
      const { cursor, ids, others: found } = await raw.scan(scanned)
      for (const [queue, some] of ids) {
        if (!order.includes(queue)) continue
        for (const entry of await raw.orphans(queue, some)) {
          const fault = faultOf(queue, entry, Date.now())
          if (fault) await takeOut(queue, entry, fault)
          else if (await raw.relist(queue, entry.id)) done.relisted++
        }
      }
      scanned = cursor
      if (cursor === '0') lost = false
      return found
    }

    async function lookBeside(others: string[]): Promise<void> {
      const swept = await sweepKeys(others)
      done.quarantined += swept.quarantined
      for (const id of swept.jobs) broken.set(id, 0)
      allBroken ||= swept.all
    }

    async function healJobs(): Promise<void> {
      if (allBroken) {
        for await (const { id, markedAt } of openJobs()) {
          if (Date.now() - markedAt.getTime() >= settledMs && !broken.has(id)) broken.set(id, 0)
        }
        allBroken = false
      }
      for (const [jobId, tries] of [...broken].slice(0, mostHealed)) {
        if (signal.aborted) return
        broken.delete(jobId)
        try {
          if ((await heal(jobId)) === 'resumed') done.healed++
        } catch (err) {
          log.warn({ err, job: jobId }, 'a job could not be healed')
          // Behind the others, and not at once: most likely they would fail as well.
          if (tries < mostTries) broken.set(jobId, tries + 1)
          return
        }
      }
    }
  }

  async function dropKey(queue: AnyQueueName, { name, fault, size, head }: WrongQueueKey): Promise<boolean> {
    const message = `The key ${name} of the queue ${queue} ${fault}; its size is ${size}.`
    const said = { queue, entry: `key ${name}`, message, payload: head }
    const remove = async () => await raw.dropKey(queue, name)
    // Evidence before removal, but for the queue that evidence is put on.
    if (queue === 'quarantine') {
      if (!(await remove())) return false
      await evidence.note(said)
    } else if (!(await evidence.takeOut(said, remove))) return false
    log.warn({ queue, key: name, fault }, 'a key of a queue could not be used: it was removed')
    lost = true
    scanned = '0'
    return true
  }
}

import { setTimeout as pause } from 'node:timers/promises'
import type { WorkerRecord } from '../shared/fleet.ts'
import type { BatchResult } from '../shared/job.ts'
import type { Logger } from '../shared/log.ts'
import { type WorkerRegistry, beatEveryMs } from '../shared/worker-registry.ts'
import type { Hands } from './two-hands.ts'

type AttendanceDeps = {
  registry: Pick<WorkerRegistry, 'beat' | 'leave'>
  id: string
  instance: string
  hands: Pick<Hands, 'state' | 'hold' | 'recall'>
  framesPerSecond(): number | null
  log: Logger
  everyMs?: number
}

const mostModels = 8
/** Between two beats at least, however often the state changes. */
const restMs = 200

/**
 * Says in the registry that this worker is there and what it does, every two seconds and whenever that changes; and has its
 * hands held or recalled as it hears there.
 *
 *   silent ──open──► asking ──the first answer──► beating ──leave──► gone, its record with it
 *                      └─ Redis away: asked again ─┘
 */
export function createAttendance(deps: AttendanceDeps) {
  const { registry, id, instance, hands, log, everyMs = beatEveryMs } = deps
  const startedAt = Date.now()
  const said: Pick<WorkerRecord, 'state' | 'since' | 'device' | 'models' | 'batches' | 'leaving'> = {
    ...{ state: hands.state(), since: startedAt, device: null, models: [], batches: 0, leaving: null },
  }
  const gone = new AbortController()
  let changed = false
  let wake = () => {}
  let away = false
  let beating: Promise<void> = Promise.resolve()

  const told = () => {
    changed = true
    wake()
  }

  async function beat(): Promise<boolean> {
    changed = false
    const beatAt = Date.now()
    const state = hands.state()
    if (state !== said.state) Object.assign(said, { state, since: beatAt })
    try {
      const framesPerSecond = deps.framesPerSecond()
      const { held } = await registry.beat({ ...said, id, instance, startedAt, beatAt, framesPerSecond })
      if (away) log.info('the fleet hears of this worker again')
      away = false
      if (held) hands.hold()
      else hands.recall()
      return true
    } catch (error) {
      if (!away) log.warn({ err: (error as Error).message }, 'the fleet does not hear of this worker')
      away = true
      return false
    }
  }

  async function goOn(): Promise<void> {
    while (!gone.signal.aborted) {
      await rest(Math.min(restMs, everyMs))
      if (!changed) await untilChanged()
      if (!gone.signal.aborted) await beat()
    }
  }

  async function untilChanged(): Promise<void> {
    if (gone.signal.aborted) return
    const waiting = new AbortController()
    wake = () => waiting.abort()
    gone.signal.addEventListener('abort', wake, { once: true })
    await pause(everyMs, undefined, { signal: waiting.signal }).catch(() => {})
    gone.signal.removeEventListener('abort', wake)
  }

  const rest = async (ms: number) => await pause(ms, undefined, { signal: gone.signal }).catch(() => {})

  return {
    /** Resolves once the registry has answered: by then the hands are held if their instance is. */
    async open(): Promise<void> {
      while (!gone.signal.aborted && !(await beat())) await rest(everyMs)
      beating = goOn()
    },
    /** The state of the hands may be another one. */
    told,
    /** A batch was scored. */
    note({ device, model, size }: BatchResult): void {
      said.batches++
      said.device = device ?? said.device
      if (model === undefined || size === undefined) return
      const latest = `${model} ${size}`
      said.models = [latest, ...said.models.filter((each) => each !== latest)].slice(0, mostModels)
    },
    /** Why this worker leaves. */
    leaving(why: string): void {
      said.leaving ??= why.slice(0, 200)
      told()
    },
    /** Says nothing any more; what was said is taken back. */
    async leave(): Promise<void> {
      gone.abort()
      await beating
      await registry.leave(id)
    },
  }
}

import { type Job, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import type { WorkerState } from '../shared/fleet.ts'
import { giveBack } from '../shared/workload.ts'

export type Hand = (
  job: Job,
  token: string | undefined,
  signal: AbortSignal | undefined,
  /** To be called when the other hand may take the next batch. */
  passOn: () => void,
) => Promise<unknown>

/**
 * A BullMQ worker that claims nothing once it is paused, also where it was waiting for work then; and that tells when its
 * loop has ended, so that nothing can be on its way any more.
 */
export class HandWorker extends Worker {
  #loop: Promise<void> = Promise.resolve()

  override async run(): Promise<void> {
    this.#loop = super.run().catch((error: Error) => void this.emit('error', error))
    await this.#loop
  }

  // A claim that is given back counts as a start, and an entry that was started too often fails for good: a fleet that is
  // held while it waits for work would spend them all on the next batch that comes.
  protected override async moveToActive(token: string, name?: string): Promise<Job> {
    if (!this.isPaused()) return await super.moveToActive(token, name)
    // Waking up took the mark away that there is work: others wait for it too.
    const client = (await this.backend.client) as unknown as Redis
    await client.zadd(this.toKey('marker'), 0, '0')
    return undefined as unknown as Job
  }

  async ended(): Promise<void> {
    await this.#loop
  }
}

/**
 * Two BullMQ workers that take turns at claiming, so that the next batch is decoding while the last one is still being
 * encoded and committed:
 *
 *   one    claim ──decode and score──┐ encode, upload, commit ┐        ┌─ claim ──decode and score── …
 *   other                            └─ claim ──decode and score───────┘ encode, upload, commit
 *
 * Only one hand is open at a time, and a hand that has claimed closes itself: a batch taken too early would be one that
 * an idle worker elsewhere can't have.
 *
 * Both are held, and leave, together. What they have ends in peace; a claim that was on its way is given back at once, no
 * attempt spent; once both loops have ended nothing can be claimed any more, and only then is it said that they are held:
 *
 *   idle ◄──► busy ──hold──► draining ──both loops end──► held
 *     ▲                          └────────recall──────────┤
 *     └───────────────────────────────────────────────────┘
 */
export function createHands(
  make: (process: HandProcessor) => HandWorker,
  hand: Hand,
  /** Told when the state may be another one. */
  onChange: () => void = () => {},
) {
  const workers: [HandWorker, HandWorker] = [makeHand(0), makeHand(1)]
  let wanted: 'work' | 'hold' | 'leave' = 'work'
  /** Whose turn it is to claim; nobody's while a hand has claimed and not passed on. */
  let turn: 0 | 1 | undefined
  let inHand = 0

  function makeHand(side: 0 | 1): HandWorker {
    return make(async (job, token, signal) => {
      if (wanted !== 'work') return await giveBack(job, token)
      turn = undefined
      inHand++
      onChange()
      await workers[side].pause(true)
      let passed = false
      const passOn = () => {
        if (passed) return
        passed = true
        turn = side === 0 ? 1 : 0
        open()
      }
      try {
        return await hand(job, token, signal, passOn)
      } finally {
        inHand--
        passOn()
        onChange()
      }
    })
  }

  function open(): void {
    // Not at once: a loop that is just ending still says that it runs, and would not be started again.
    setImmediate(() => {
      if (wanted === 'work' && turn !== undefined) void workers[turn].resume()
    })
  }

  return {
    workers,
    /** Opens the first hand. */
    begin(): void {
      turn = 0
      open()
    },
    /** Takes nothing new until it is recalled. */
    hold(): void {
      if (wanted !== 'work') return
      wanted = 'hold'
      for (const worker of workers) void worker.pause(true)
      onChange()
      void Promise.all(workers.map(async (worker) => await worker.ended())).then(onChange)
    },
    recall(): void {
      if (wanted !== 'hold') return
      wanted = 'work'
      open()
      onChange()
    },
    /** Takes nothing new, from now on. */
    stop(): void {
      wanted = 'leave'
      onChange()
    },
    state(): WorkerState {
      if (wanted === 'work') return inHand > 0 ? 'busy' : 'idle'
      return workers.some((worker) => worker.isRunning()) ? 'draining' : 'held'
    },
  }
}

export type Hands = ReturnType<typeof createHands>

type HandProcessor = (
  job: Job,
  token: string | undefined,
  signal: AbortSignal | undefined,
) => Promise<unknown>

/** What the simulated machines and batches are like. All times in seconds. */
export type World = {
  seed: number
  /** Of a batch, before its first frame is scored: nothing of it overlaps with other work here. */
  setUpSeconds: number
  /** Coefficient of variation of a batch's time. */
  cv: number
  /** From asking for a machine until its worker takes work: paid for. */
  start: { mean: number; cv: number }
  /** Of one machine. */
  preemptionsPerHour: number
  /** Between the word that a machine is preempted and its end: paid for. */
  noticeSeconds: number
  /** How long a worker that has to leave goes on with its batch before it gives it back. */
  drainSeconds: number
  /** From asking for a machine's removal, whoever asks, until it costs nothing. */
  removeSeconds: number
  /** So many of the first machines are slower by that factor. */
  slow: { machines: number; factor: number }
  /** From a job's arrival until its batches are in line. */
  planSeconds: (frames: number) => number
}

/** Nothing vanishes, nothing is slow: what a spread of 10 % and three seconds a batch cost alone. */
export const calm: World = {
  seed: 1,
  setUpSeconds: 3,
  cv: 0.1,
  start: { mean: 150, cv: 0.2 },
  preemptionsPerHour: 0,
  noticeSeconds: 30,
  drainSeconds: 25,
  removeSeconds: 60,
  slow: { machines: 0, factor: 1 },
  planSeconds: () => 0,
}

export type Arrival = {
  at: number
  client: string
  frames: number
  secondsPerFrame: number
  /** 1 to 10, as a request has it. */
  priority: number
}

export type SimJob = Arrival & {
  /** Seconds of work of one worker without any set-up: what the lower bound counts. */
  workSeconds: number
  /** Not committed yet. */
  framesLeft: number
  /** All of its batches; 0 until it is planned. */
  batches: number
  batchesLeft: number
  endedAt: number | null
}

export type SimBatch = {
  id: string
  job: SimJob
  frames: number
  /** Its virtual start time. */
  tag: number
  /** When nothing disturbs it, set-up included. */
  expectedSeconds: number
  /** How much slower or faster than expected this one is, whoever does it. */
  luck: number
  committed: boolean
  copied: boolean
  runs: Run[]
}

/** A batch in the hands of one machine. */
export type Run = {
  batch: SimBatch
  machine: Machine
  beganAt: number
  copy: boolean
  over: boolean
}

/**
 *   starting ──► idle ◄──► busy         held: takes nothing new; recalled: takes work again
 *       └──────────┴─────────┴──► leaving ──► gone
 */
export type Machine = {
  name: string
  bornAt: number
  state: 'starting' | 'idle' | 'busy' | 'leaving' | 'gone'
  held: boolean
  /** When its state, or `held`, changed last. */
  since: number
  slow: number
  run: Run | null
}

/** What is made of the times that the queue noted. Pure; times in ms of the clock unless a name says otherwise. */

/** One batch that was claimed and ended. */
export type BatchSpan = {
  /** Its entry's number in the plan. */
  index: number
  /** The registry's id: `<instance>/…`. */
  worker: string
  frames: number
  /** Claimed. */
  from: number
  /** Ended, as the queue noted it. */
  to: number
  /** Somebody else had committed it: not a frame of it was this worker's. */
  skipped: boolean
  /** What this worker's model was made to take for a frame, in seconds. */
  pace: number
  /** Milliseconds that its frames were at the model. */
  inferMs: number
}

/** A film that was scored, and what it took. The plan and the pace are what a simulation of the same needs. */
export type RealRun = {
  workers: number
  /** One of the workers took so many times longer for a frame. */
  slow?: number
  frames: number
  batches: number
  /** Frames of each batch, in order. */
  plan: number[]
  /** What a frame was made to take, at the model. */
  secondsPerFrame: number
  /**
   * What a batch cost its worker beside its frames: from the worker's first claim to its last commit, without the time
   * of its frames, for each of its batches. A worker's two hands overlap: what they hide is not in it.
   */
  setUpSeconds: number
  /** From the first claim to the last commit. */
  makespan_s: number
  /** frames × secondsPerFrame ÷ (workers × makespan): the split before and the stitch after are not in it. */
  efficiency: number
  /** Mean of a batch from claim to commit, and of the time its frames were at the model. */
  batch_s: number
  model_s: number
  /** Copies of slow batches that were put on. */
  copies: number
  /** Share of this machine's cores that was busy from the POST to the end, from 0 to 1: with all there is, and with us alone. */
  processor_busy: number
  processor_own: number
}

type Measured = Pick<
  RealRun,
  'workers' | 'slow' | 'plan' | 'secondsPerFrame' | 'copies' | 'processor_busy' | 'processor_own'
> & {
  spans: BatchSpan[]
  /** The last commit, whoever made it. */
  committedAt: number
}

export function describeRun({ spans, committedAt, ...run }: Measured): RealRun {
  const { plan, secondsPerFrame, workers } = run
  const frames = sum(plan)
  const makespan = (committedAt - Math.min(...spans.map(({ from }) => from))) / 1_000
  const done = spans.filter(({ skipped }) => !skipped)
  return {
    ...run,
    frames,
    batches: plan.length,
    setUpSeconds: rounded(setUpSeconds(spans)),
    makespan_s: rounded(makespan),
    efficiency: rounded((frames * secondsPerFrame) / (workers * makespan)),
    batch_s: rounded(mean(done.map(({ from, to }) => (to - from) / 1_000))),
    model_s: rounded(mean(done.map(({ inferMs }) => inferMs / 1_000))),
    processor_busy: rounded(run.processor_busy),
    processor_own: rounded(run.processor_own),
  }
}

/** Over the workers all of whose batches were their own. */
function setUpSeconds(spans: BatchSpan[]): number {
  const workers = Object.values(Object.groupBy(spans, ({ worker }) => worker)).map((own) => own ?? [])
  const whole = workers.filter((own) => own.every(({ skipped }) => !skipped))
  const beside = whole.map((own) => {
    const span = Math.max(...own.map(({ to }) => to)) - Math.min(...own.map(({ from }) => from))
    return span / 1_000 - sum(own.map(({ frames, pace }) => frames * pace))
  })
  return sum(beside) / whole.flat().length
}

const sum = (values: number[]) => values.reduce((a, b) => a + b, 0)
const mean = (values: number[]) => sum(values) / values.length
export const rounded = (value: number) => Number(value.toFixed(3))

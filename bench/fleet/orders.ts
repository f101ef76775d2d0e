import { newcomerStarts, type Standing, weigh } from '../../src/producer/fair-order.ts'
import { planBatches } from '../../src/producer/plan-batches.ts'
import { cuttingPace, paceFor } from '../../src/producer/plan-pace.ts'
import type { Clock } from './clock.ts'
import type { Crew } from './crew.ts'
import type { Draws } from './draws.ts'
import type { Line } from './line.ts'
import type { Arrival, SimBatch, SimJob, World } from './world.ts'

const hour = 3_600

/**
 * The jobs, from their arrival to their last batch: cut, and put in order among the others, by the product's own code. A
 * job keeps the weight that it came with: the product moves what waits when weights change, which shifts no work between machines.
 */
export function createOrders(deps: {
  world: World
  clock: Clock
  line: Line
  draws: Draws
  /** How many workers videos are cut for. */
  planWorkers: number
  /** Frames of each batch of every job, where that is not to be planned. */
  plan?: number[]
}) {
  const { world, clock, line, draws, planWorkers } = deps
  const { setUpSeconds } = world
  const all: SimJob[] = []
  const open = new Set<SimJob>()
  const recent: SimJob[] = []
  const firsts = new WeakMap<SimJob, SimBatch>()
  let batches = 0

  function arrive(arrival: Arrival, crew: Crew): void {
    const { frames, secondsPerFrame } = arrival
    const job: SimJob = {
      ...arrival,
      workSeconds: frames * secondsPerFrame,
      ...{ framesLeft: frames, batches: 0, batchesLeft: 0, endedAt: null },
    }
    all.push(job)
    open.add(job)
    recent.push(job)
    clock.at(clock.now() + world.planSeconds(frames), () => {
      enqueue(job, all.indexOf(job), crew)
      crew.hand()
    })
  }

  function cut({ frames, secondsPerFrame }: SimJob): number[] {
    const reckoning = () => ({ secondsPerFrame, setUpSeconds, measured: true })
    const work = { model: 'any@1', size: '1280x720' }
    const pace = paceFor(work, { wish: 'measured', workers: planWorkers, reckoning })
    return planBatches(frames, null, cuttingPace(pace))
  }

  function enqueue(job: SimJob, number: number, crew: Crew): void {
    const sizes = deps.plan ?? cut(job)
    const costs = sizes.map((frames) => setUpSeconds + frames * job.secondsPerFrame)
    const { standing, siblings } = standingOf(job)
    // Copies have no time of their own.
    const active = [...crew.active].filter(({ copy }) => !copy).map(({ batch }) => batch.tag)
    const now = Math.max(line.head(), ...active, 0)
    const tags = newcomerStarts({ now, active, siblings, costs, standing })
    for (const [index, frames] of sizes.entries()) {
      const batch: SimBatch = {
        id: `${number}.${index}`,
        ...{ job, frames, tag: tags[index] ?? 0, expectedSeconds: costs[index] ?? 0 },
        luck: draws.around1(world.cv),
        ...{ committed: false, copied: false, runs: [] },
      }
      line.add(batch)
      if (index === 0) firsts.set(job, batch)
    }
    job.batches = sizes.length
    job.batchesLeft = sizes.length
    batches += sizes.length
  }

  /** Beside what the producer finds when a job's batches are put on the queue; nobody's share is capped here. */
  function standingOf(job: SimJob) {
    const others = [...open].filter((each) => each !== job)
    const siblings = others.flatMap((other) => {
      const first = firsts.get(other)
      return other.client === job.client && first && !first.committed ? [first.tag] : []
    })
    const [standing] = weigh([job, ...others], 1) as [Standing]
    return { standing, siblings }
  }

  function committed({ job, frames }: SimBatch): void {
    job.framesLeft -= frames
    job.batchesLeft--
    if (job.batchesLeft > 0) return
    job.endedAt = clock.now()
    open.delete(job)
  }

  /** As the autoscaler's `readDemand` reckons: each frame, and what the batches cost beside. */
  const secondsOf = (job: SimJob, frames: number) =>
    frames * job.secondsPerFrame + (Math.max(1, job.batches) * setUpSeconds * frames) / job.frames

  return {
    all,
    open,
    arrive,
    committed,
    batches: () => batches,
    demand: () => ({
      workSeconds: [...open].reduce(
        (sum, job) => sum + (job.batches > 0 ? secondsOf(job, job.framesLeft) : 0),
        0,
      ),
      unplannedJobs: [...open].reduce((sum, { batches }) => sum + (batches === 0 ? 1 : 0), 0),
    }),
    /** Of the last hour; `workSeconds` is the mean of a job. */
    arrivals() {
      const fresh = recent.findIndex(({ at }) => at > clock.now() - hour)
      recent.splice(0, fresh === -1 ? recent.length : fresh)
      const seconds = recent.reduce((sum, job) => sum + secondsOf(job, job.frames), 0)
      return { perSecond: recent.length / hour, workSeconds: seconds / Math.max(1, recent.length) }
    },
  }
}

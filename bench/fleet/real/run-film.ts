import { cpus } from 'node:os'
import { join } from 'node:path'
import { Report } from '../../../src/shared/job.ts'
import { type RealRun, describeRun } from './figures.ts'
import { type FleetOptions, startFleetSystem } from './fleet-system.ts'
import { makeTinyClip } from './tiny-clip.ts'

export type FilmOptions = FleetOptions & {
  /** What the film takes where nothing is lost, in seconds. */
  seconds: number
  /** A folder for clips. */
  dir: string
}

/** Starts a system, has one film scored by all its workers, and ends it. */
export async function runFilm({ seconds, dir, ...options }: FilmOptions): Promise<RealRun> {
  const { workers, secondsPerFrame, slow } = options
  const film = await makeTinyClip(join(dir, 'film.mp4'), Math.round((workers * seconds) / secondsPerFrame))
  const warmUp = await makeTinyClip(join(dir, 'warm-up.mp4'), 4 * workers)
  const system = await startFleetSystem(options)
  try {
    await system.warm(warmUp)
    const shares = await watchProcessor(system.cpuSeconds)
    const { id } = await system.submit(film)
    await system.ends(id)
    const { batches } = Report.parse(await system.api.report(id))
    const spans = await system.notes.spans(id, batches.planned, system.paceOf)
    const committed = await system.notes.committed(id)
    return describeRun({
      ...{ workers, secondsPerFrame, spans, committedAt: committed.lastAt },
      ...(slow === undefined ? {} : { slow }),
      plan: spans.map(({ frames }) => frames),
      copies: await system.notes.copies(id),
      ...(await shares()),
    })
  } finally {
    await system.stop()
  }
}

/** Answers how to ask which share of all cores was busy since now, with whatever it was and with us. */
async function watchProcessor(ownSeconds: () => Promise<number>) {
  const look = async () => {
    const times = cpus().map((cpu) => cpu.times)
    const all = times.flatMap((each) => Object.values(each)).reduce((a, b) => a + b, 0) / 1_000
    const idle = times.reduce((sum, { idle }) => sum + idle, 0) / 1_000
    return { all, busy: all - idle, own: await ownSeconds() }
  }
  const before = await look()
  return async () => {
    const after = await look()
    const share = (of: 'busy' | 'own') => (after[of] - before[of]) / (after.all - before.all)
    return { processor_busy: share('busy'), processor_own: share('own') }
  }
}

import type { Fleet, FleetChange, FleetSettings, Worker } from '../../client/client.ts'
import { connect } from '../endpoint.ts'
import { UsageError } from '../failure.ts'
import { type Common, print, printLines } from '../output.ts'

/** Prints who is there to work, and what the autoscaler makes of it. */
export async function showFleet(options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  const { api } = await connect(env, options.dir)
  const fleet = await api.fleet()
  if (options.json) print(fleet)
  else printLines(describeFleet(fleet, Date.now()))
  return 0
}

type SetOptions = Common & {
  min?: number
  max?: number
  size?: number | 'auto'
  pause?: boolean
  resume?: boolean
}

/** Sets what is given and leaves the rest; prints what holds then. */
export async function setFleet(options: SetOptions, env: NodeJS.ProcessEnv): Promise<number> {
  const { min, max, size, pause = false, resume = false } = options
  const change: FleetChange = {
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    ...(size === undefined ? {} : { size: size === 'auto' ? null : size }),
    ...(pause || resume ? { paused: pause } : {}),
  }
  if (Object.keys(change).length === 0) {
    throw new UsageError('say what to set: --min, --max, --size, --pause or --resume')
  }
  const { api } = await connect(env, options.dir)
  const settings = await api.setFleet(change)
  print(options.json ? settings : describeSettings(settings))
  return 0
}

/** The fleet as people read it, line by line; `now` in ms. */
export function describeFleet({ settings, autoscaler, workers, workersTotal }: Fleet, now: number): string[] {
  const facts: [string, string][] = [['set', describeSettings(settings)]]
  if (autoscaler) {
    const { instances, target, why, demandSeconds, byHand, error } = autoscaler
    facts.push(
      ['now', `${count(instances, 'instance')}, ${span(demandSeconds)} of work for one worker in line`],
      ['target', `${target}: ${why}`],
    )
    if (byHand) facts.push(['by hand', `${byHand.size}, kept until ${byHand.until}`])
    if (error !== null) facts.push(['trouble', error])
  } else facts.push(['now', 'no autoscaler has been at work for a minute'])
  const lines = facts.map(([name, text]) => `${name.padEnd(9)}${text}`)
  if (workers.length === 0) return [...lines, '', 'no workers']
  const sorted = workers.toSorted((a, b) => (a.instance < b.instance ? -1 : 1))
  const more = workersTotal - workers.length
  return [
    ...lines,
    '',
    ...columns([header, ...sorted.map((worker) => rowOf(worker, now))]),
    ...(more > 0 ? [`and ${more} more`] : []),
  ]
}

const header = ['INSTANCE', 'STATE', 'SINCE', 'DEVICE', 'FPS', 'BATCHES', 'MODEL']

function rowOf(worker: Worker, now: number): string[] {
  const { instance, state, since, device, framesPerSecond, batches, models, leaving } = worker
  return [
    instance,
    state,
    span((now - since) / 1_000),
    device ?? '-',
    framesPerSecond === null ? '-' : framesPerSecond.toFixed(1),
    String(batches),
    leaving === null ? (models[0] ?? '-') : `leaving: ${leaving}`,
  ]
}

export function describeSettings({ min, max, size, paused }: FleetSettings): string {
  const wanted = size === null ? 'as many as the work needs' : `${size} by hand`
  return `${min} to ${max} instances, ${wanted}${paused ? ', paused' : ''}`
}

/** Rows as lines, each column as wide as its widest; figures are few enough to stand left. */
function columns(rows: string[][]): string[] {
  const widths = header.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

const count = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`

/** Seconds in the largest unit that tells them well. */
function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 120) return `${whole} s`
  if (whole < 7_200) return `${Math.round(whole / 60)} min`
  return `${(whole / 3_600).toFixed(1)} h`
}

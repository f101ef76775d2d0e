/**
 * What a plant's devices measure: made up, but the same for the same seed. Times are in ms. `Hour` is that of the plant's own clock, 0 to
 * 24: its day begins with `midnight`.
 */
export type Reading = { TS: string; Device: string; Tag: string; Val: number; Hour: number }
type FaultKind = 'spike' | 'shift' | 'stuck' | 'drift'
export type Fault = { kind: FaultKind; device: string; tag: string; from: number; to: number }

const devices = ['pump-1', 'pump-2', 'fan-1']

/** What is normal: a mean, how far the day swings it, when it peaks (in hours), and the noise's standard deviation. */
const tags: Record<string, { mean: number; swing: number; peak: number; noise: number }> = {
  temperature: { mean: 61, swing: 8, peak: 15, noise: 0.8 },
  pressure: { mean: 4.7, swing: 0.4, peak: 10, noise: 0.06 },
  vibration: { mean: 2.1, swing: 0.3, peak: 14, noise: 0.07 },
  flow: { mean: 118, swing: 16, peak: 11, noise: 2.2 },
  current: { mean: 31, swing: 4, peak: 13, noise: 0.5 },
}

const minute = 60_000
const hour = 60 * minute

/** Every series there is, fifteen of them. */
export const series = devices.flatMap((device) => Object.keys(tags).map((tag) => ({ device, tag })))

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A day's faults: one for every second series, of each kind in turn, at hours that differ. */
export function plantFaults(dayBegins: number): Fault[] {
  const kinds: [FaultKind, number][] = [
    ['spike', 15 * minute],
    ['shift', 2 * hour],
    ['stuck', 5 * hour],
    ['drift', 4 * hour],
  ]
  return series.flatMap(({ device, tag }, i) => {
    const [kind, lasts] = kinds[(i / 2) % kinds.length] ?? []
    if (kind === undefined || lasts === undefined) return []
    const from = dayBegins + (2 + ((i * 5) % 15)) * hour + 17 * minute
    return [{ kind, device, tag, from, to: from + lasts }]
  })
}

export const isFaulty = (faults: Fault[], { TS, Device, Tag }: Pick<Reading, 'TS' | 'Device' | 'Tag'>) =>
  faults.some(
    ({ device, tag, from, to }) =>
      device === Device && tag === Tag && Date.parse(TS) >= from && Date.parse(TS) < to,
  )

/** Readings of all series in the order of their times, one of each every `stepMs`. */
export function* measure(options: {
  seed: number
  from: number
  to: number
  midnight: number
  stepMs?: number
  faults?: Fault[]
}): Generator<Reading> {
  const { seed, from, to, midnight, stepMs = 5 * minute, faults = [] } = options
  const random = createRandom(seed)
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  for (let at = from; at < to; at += stepMs) {
    const hourOfDay = clock(at, midnight)
    for (const { device, tag } of series) {
      const { noise } = tags[tag] ?? { noise: 0 }
      const steady = expected(device, tag, hourOfDay)
      const fault = faults.find(
        (each) => each.device === device && each.tag === tag && at >= each.from && at < each.to,
      )
      // Drawn whether it is used or not, so that a fault changes no other reading.
      const shake = normal() * noise
      const value = fault ? broken(fault, { at, midnight, steady, shake, noise }) : steady + shake
      const Val = Math.round(value * 1e4) / 1e4
      yield { TS: new Date(at).toISOString(), Device: device, Tag: tag, Val, Hour: hourOfDay }
    }
  }
}

const clock = (at: number, midnight: number) => ((((at - midnight) / hour) % 24) + 24) % 24

function expected(device: string, tag: string, hourOfDay: number): number {
  const { mean, swing, peak } = tags[tag] ?? { mean: 0, swing: 0, peak: 0 }
  const own = 1 + 0.07 * devices.indexOf(device)
  return own * (mean + swing * Math.cos(((hourOfDay - peak) / 24) * 2 * Math.PI))
}

function broken(
  { kind, device, tag, from, to }: Fault,
  {
    at,
    midnight,
    steady,
    shake,
    noise,
  }: { at: number; midnight: number; steady: number; shake: number; noise: number },
): number {
  if (kind === 'spike') return steady + 12 * noise + shake
  if (kind === 'shift') return steady - 8 * noise + shake
  // It says what it said when it got stuck, whatever the day does.
  if (kind === 'stuck') return expected(device, tag, clock(from, midnight))
  return steady + shake + (14 * noise * (at - from)) / (to - from)
}

/** The identity of a reading: what is the same of two that are one. */
export const identityOf = ({ TS, Device, Tag }: Pick<Reading, 'TS' | 'Device' | 'Tag'>) =>
  `${TS}\t${Device}\t${Tag}`

/** As they are sent: in the order of their times, within a second or two, and one in fifty once more within a minute. */
export function deliver(readings: Iterable<Reading>, seed: number): Reading[] {
  const random = createRandom(seed)
  const sent: { at: number; reading: Reading }[] = []
  for (const reading of readings) {
    const at = Date.parse(reading.TS) + random() * 2_000
    sent.push({ at, reading })
    if (random() < 0.02) sent.push({ at: at + random() * minute, reading })
  }
  return sent.sort((a, b) => a.at - b.at).map(({ reading }) => reading)
}

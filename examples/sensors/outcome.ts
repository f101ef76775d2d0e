import { type Fault, type Reading, isFaulty, series } from './readings.ts'

/** A line of the result: `Prediction` is -1 for what is not as usual, else 1. */
export type Scored = Pick<Reading, 'TS' | 'Device' | 'Tag' | 'Val'> & { Prediction: number }

type Row = {
  series: string
  fault: string
  faulty: number
  found: number
  normal: number
  falseAlarms: number
}
export type Outcome = {
  rows: Row[]
  faults: number
  faultsFound: number
  recall: number
  falseAlarms: number
}

/**
 * What came of the faults that were planted. `recall` is the part of the faulty readings that were told, `falseAlarms` the part
 * of the others that were told as well. A fault is found once three of its readings are: by chance that is seldom.
 */
export function outcomeOf(scored: Scored[], faults: Fault[]): Outcome {
  const rows = series.map(({ device, tag }): Row => {
    const own = scored.filter(({ Device, Tag }) => Device === device && Tag === tag)
    const [faulty, normal] = [
      own.filter((each) => isFaulty(faults, each)),
      own.filter((each) => !isFaulty(faults, each)),
    ]
    const fault = faults.find((each) => each.device === device && each.tag === tag)
    return {
      ...{ series: `${device} ${tag}`, fault: fault?.kind ?? '' },
      ...{ faulty: faulty.length, found: alarms(faulty), normal: normal.length, falseAlarms: alarms(normal) },
    }
  })
  const sum = (field: 'faulty' | 'found' | 'normal' | 'falseAlarms') =>
    rows.reduce((total, row) => total + row[field], 0)
  const broken = rows.filter(({ fault }) => fault !== '')
  return {
    rows,
    faults: broken.length,
    faultsFound: broken.filter(({ found }) => found >= 3).length,
    recall: sum('found') / sum('faulty'),
    falseAlarms: sum('falseAlarms') / sum('normal'),
  }
}

const alarms = (scored: Scored[]) => scored.filter(({ Prediction }) => Prediction < 0).length

/** The table that the example ends with. */
export function tableOf({ rows, faults, faultsFound, recall, falseAlarms }: Outcome): string {
  const line = (cells: (string | number)[]) =>
    cells
      .map((cell, i) => (i < 2 ? String(cell).padEnd(i ? 6 : 18) : String(cell).padStart(13)))
      .join(' ')
      .trimEnd()
  const percent = (part: number) => `${(100 * part).toFixed(1)} %`
  return [
    line(['series', 'fault', 'faulty', 'found', 'normal', 'false alarms']),
    ...rows.map((row) => line([row.series, row.fault, row.faulty, row.found, row.normal, row.falseAlarms])),
    '',
    `faults found: ${faultsFound} of ${faults}   recall: ${percent(recall)} of faulty readings   false alarms: ${percent(falseAlarms)} of normal ones`,
  ].join('\n')
}

import { frame, render } from '../plots.ts'
import { dayRows, efficiencyRows, type FleetResults } from './results.ts'
import { defaultBacklogSeconds } from './sim-day.ts'
import { wantedEfficiency } from './wanted.ts'

const colours = { ours: '#1f4e79', slow: '#d08c3f', rivals: '#b5443c', quiet: '#9aa7b4', wanted: '#3d8b5f' }
const titled = (text: string) => ({ text, left: 12, top: 10, textStyle: { fontSize: 14 } })
const below = { nameLocation: 'middle' as const, nameGap: 30 }
const beside = { nameLocation: 'middle' as const, nameGap: 44 }

/** Efficiency against the number of workers, simulated and real, beside what is wanted. An SVG. */
export function drawEfficiency(results: FleetResults): string {
  const line = (name: string, scenario: string, color: string) => ({
    ...{ name, type: 'line', color, symbolSize: 6 },
    data: efficiencyRows(results, scenario).map(({ workers, efficiency }) => [workers, efficiency]),
  })
  const points = (name: string, color: string, symbol: string, data: number[][]) => ({
    ...{ name, type: 'scatter', color, symbol, symbolSize: 11, data, z: 3 },
  })
  const wanted = (scenario: string) =>
    wantedEfficiency
      .filter((each) => each.scenario === scenario)
      .map(({ workers, least }) => [workers, least])
  return render(860, 420, {
    ...frame,
    title: titled('one job of 72 minutes of work: the part of the fleet’s time that is work'),
    legend: { top: 36 },
    grid: { left: 70, right: 40, top: 90, bottom: 56 },
    xAxis: { type: 'log', logBase: 2, min: 1, max: 1_024, name: 'workers', ...below },
    yAxis: { type: 'value', min: 0, max: 1, name: 'work ÷ (workers × makespan)', ...beside },
    series: [
      line('all alike', 'job', colours.ours),
      line('one 3 times slower', 'job-one-slow', colours.slow),
      points('wanted', colours.wanted, 'triangle', [...wanted('job'), ...wanted('job-one-slow')]),
      points(
        'real workers (other job)',
        colours.quiet,
        'diamond',
        Object.entries(results.real).map(([workers, efficiency]) => [Number(workers), efficiency]),
      ),
    ].filter(({ data }) => data.length > 0),
  })
}

/** What a day costs against how long jobs wait, of each policy. An SVG. */
export function drawCosts(results: FleetResults): string {
  const rows = dayRows(results)
  const minutes = (seconds: number) => Number((seconds / 60).toFixed(2))
  const isOurs = ({ policy }: { policy: string }) => policy.startsWith('framefleet')
  const ours = rows.filter(isOurs)
  const rivals = rows.filter((row) => !isOurs(row))
  const most = 2
  return render(860, 480, {
    ...frame,
    title: titled('days of 1,500 jobs: what they cost, and how long 95 % of the jobs wait at most'),
    legend: { top: 36 },
    grid: { left: 70, right: 40, top: 90, bottom: 56 },
    xAxis: {
      ...{
        type: 'log',
        min: 5,
        max: 1_000,
        name: 'minutes until 95 % of the jobs are done, from their arrival',
      },
      ...below,
    },
    yAxis: { type: 'value', min: 1, max: most, name: 'cost ÷ lower bound', ...beside },
    series: [
      {
        ...{ name: 'framefleet, by backlog in seconds', type: 'line', color: colours.ours, symbolSize: 8 },
        data: ours.map((row) => ({
          value: [minutes(row.wait_p95_s), row.cost_ratio],
          label: { show: true, position: 'bottom', formatter: row.policy.replace('framefleet ', '') },
        })),
        markLine: {
          ...{ symbol: 'none', lineStyle: { color: colours.wanted, type: 'dashed' } },
          data: [{ yAxis: 1.15, label: { formatter: '1.15', position: 'end' } }],
        },
      },
      {
        ...{ name: 'rivals', type: 'scatter', color: colours.rivals, symbolSize: 9 },
        labelLayout: { moveOverlap: 'shiftY' },
        data: rivals.map((row) => ({
          // What is dearer than there is room for stands at the top, with its figure.
          value: [minutes(row.wait_p95_s), Math.min(most, row.cost_ratio)],
          label: {
            ...{ show: true, fontSize: 10, position: row.wait_p95_s > 10_000 ? 'left' : 'right' },
            formatter: row.cost_ratio > most ? `${row.policy}: ${row.cost_ratio.toFixed(2)}` : row.policy,
          },
        })),
      },
    ],
  })
}

/** Machines over one day. An SVG. */
export function drawDay({ day, settings }: FleetResults): string {
  const line = (name: string, color: string, read: (at: FleetResults['day'][number]) => number) => ({
    ...{ name, type: 'line', step: 'end', symbol: 'none', color, lineStyle: { width: 1.5 } },
    data: day.map((at) => [at.hour, read(at)]),
  })
  return render(860, 380, {
    ...frame,
    title: titled(
      `one day, up to ${settings.max} machines that start in ${settings.startSeconds} s, a backlog of ${defaultBacklogSeconds} s`,
    ),
    legend: { top: 36 },
    grid: { left: 60, right: 40, top: 84, bottom: 56 },
    xAxis: { type: 'value', min: 0, max: 24, interval: 2, name: 'hour of the day', ...below },
    yAxis: { type: 'value', min: 0, name: 'machines', ...beside, nameGap: 34 },
    series: [
      line('paid for', colours.slow, ({ machines }) => machines),
      line('at work', colours.ours, ({ busy }) => busy),
    ],
  })
}

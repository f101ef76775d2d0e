import { frame, render } from '../plots.ts'
import { dayRows, efficiencyRows, type FleetResults } from './results.ts'
import { mostCost, wantedEfficiency } from './wanted.ts'

const colours = { ours: '#1f4e79', slow: '#d08c3f', rivals: '#b5443c', quiet: '#9aa7b4', wanted: '#3d8b5f' }
const titled = (text: string) => ({ text, left: 12, top: 10, textStyle: { fontSize: 14 } })
const legend = { top: 36, itemGap: 36 }
const below = { nameLocation: 'middle' as const, nameGap: 30 }
const beside = { nameLocation: 'middle' as const, nameGap: 44 }

/** Efficiency against the number of workers, simulated and real, beside what is wanted. An SVG. */
export function drawEfficiency(results: FleetResults): string {
  const rows = efficiencyRows(results, 'job')
  const line = (name: string, scenario: string, color: string) => ({
    ...{ name, type: 'line', color, symbolSize: 6 },
    data: efficiencyRows(results, scenario).map(({ workers, efficiency }) => [String(workers), efficiency]),
  })
  const points = (name: string, color: string, symbol: string, data: [number, number][]) => ({
    ...{ name, type: 'scatter', color, symbol, symbolSize: 11, z: 3 },
    data: data.map(([workers, efficiency]) => [String(workers), efficiency]),
  })
  const wanted = (scenario: string) =>
    wantedEfficiency
      .filter((each) => each.scenario === scenario)
      .map(({ workers, least }): [number, number] => [workers, least])
  const real = Object.entries(results.real).map(([workers, efficiency]): [number, number] => [
    Number(workers),
    efficiency,
  ])
  return render(860, 420, {
    ...frame,
    title: titled('one job of 72 minutes of work: the part of the fleet’s time that is work'),
    legend,
    grid: { left: 70, right: 40, top: 90, bottom: 56 },
    xAxis: { type: 'category', data: rows.map(({ workers }) => String(workers)), name: 'workers', ...below },
    yAxis: { type: 'value', min: 0, max: 1, name: 'work ÷ (workers × makespan)', ...beside },
    series: [
      line('all alike', 'job', colours.ours),
      line('one 3 times slower', 'job-one-slow', colours.slow),
      points('wanted of each', colours.wanted, 'triangle', [...wanted('job'), ...wanted('job-one-slow')]),
      points('real workers, a shorter job', colours.rivals, 'diamond', real),
    ].filter(({ data }) => data.length > 0),
  })
}

const most = 2

/** What a day costs against how long jobs wait, of each policy. An SVG. */
export function drawCosts(results: FleetResults): string {
  const rows = dayRows(results)
  const minutes = (seconds: number) => Number((seconds / 60).toFixed(2))
  const ours = rows.filter(({ policy }) => policy.startsWith('framefleet'))
  const rival = (name: string, color: string, symbol: string) => ({
    ...{ name, type: 'scatter', color, symbol, symbolSize: 11 },
    data: rows
      .filter(({ policy }) => policy.startsWith(name))
      .map(({ wait_p95_s, cost_ratio }) => ({
        // What is dearer than there is room for stands at the top, with its figure.
        value: [minutes(wait_p95_s), Math.min(most, cost_ratio)],
        label: { show: cost_ratio > most, position: 'right', formatter: cost_ratio.toFixed(2) },
      })),
  })
  return render(860, 480, {
    ...frame,
    title: titled(`days of ${results.settings.jobs} jobs: what they cost, and how long jobs wait`),
    legend,
    grid: { left: 70, right: 50, top: 90, bottom: 56 },
    xAxis: {
      ...{ type: 'log', logBase: 2, min: 4, max: 512, ...below },
      name: 'minutes until 95 % of the jobs are done, from the arrival of each',
    },
    yAxis: { type: 'value', min: 1, max: most, name: 'cost ÷ lower bound', ...beside },
    series: [
      {
        ...{ name: 'framefleet, by backlog in seconds', type: 'line', color: colours.ours, symbolSize: 8 },
        data: ours.map((row, i) => ({
          value: [minutes(row.wait_p95_s), row.cost_ratio],
          label: {
            ...{ show: true, position: i % 2 === 0 ? 'bottom' : 'top', backgroundColor: '#ffffff' },
            formatter: row.policy.replace('framefleet ', ''),
          },
        })),
        markLine: {
          ...{ symbol: 'none', lineStyle: { color: colours.wanted, type: 'dashed' } },
          data: [{ yAxis: mostCost, label: { formatter: `${mostCost}`, position: 'end' } }],
        },
      },
      rival('one batch per node', colours.wanted, 'rect'),
      rival('Azure Monitor', colours.rivals, 'circle'),
      rival('kept warm', colours.slow, 'triangle'),
      rival('fixed', colours.quiet, 'diamond'),
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
      `one day, up to ${settings.max} machines that start in ${settings.startSeconds} s, a backlog of ${settings.defaultBacklogSeconds} s`,
    ),
    legend,
    grid: { left: 60, right: 40, top: 84, bottom: 56 },
    xAxis: { type: 'value', min: 0, max: 24, interval: 2, name: 'hour of the day', ...below },
    yAxis: { type: 'value', min: 0, name: 'machines', ...beside, nameGap: 34 },
    series: [
      line('paid for', colours.slow, ({ machines }) => machines),
      line('at work', colours.ours, ({ busy }) => busy),
    ],
  })
}

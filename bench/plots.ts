import * as echarts from 'echarts'
import type { GrowthPoint } from './growth.ts'
import type { Results } from './results.ts'

const colours = { ours: '#1f4e79', limits: '#9aa7b4', others: '#d08c3f', even: '#c9c9c9' }
export const frame = { animation: false, backgroundColor: '#ffffff' }

/** Frames a second of everything that ran, as bars, the limits first. An SVG. */
export function drawSpeed(results: Results): string {
  const { clip, peers } = results
  const bars = [
    { name: 'model alone', fps: results.model_fps, colour: colours.limits },
    { name: 'model, side by side', fps: results.model_lanes_fps, colour: colours.limits },
    { name: 'bound', fps: results.bound_fps, colour: colours.limits },
    { name: 'engine', fps: results.engine_fps, colour: colours.ours },
    { name: 'system, warm', fps: results.system_fps, colour: colours.ours },
    { name: 'system, cold', fps: results.system_cold_fps ?? 0, colour: colours.ours },
    ...Object.entries(peers).map(([name, seconds]) => ({
      name,
      fps: clip.frames / seconds,
      colour: colours.others,
    })),
  ].filter(({ fps }) => fps > 0)
  return render(860, 90 + 34 * bars.length, {
    ...frame,
    title: { text: `frames a second: ${caption(results)}`, left: 12, top: 10, textStyle: { fontSize: 14 } },
    grid: { left: 140, right: 70, top: 48, bottom: 34 },
    xAxis: { type: 'value' },
    yAxis: { type: 'category', inverse: true, data: bars.map(({ name }) => name), axisTick: { show: false } },
    series: {
      type: 'bar',
      barWidth: 18,
      label: { show: true, position: 'right' },
      data: bars.map(({ fps, colour }) => ({ value: Number(fps.toFixed(1)), itemStyle: { color: colour } })),
    },
  })
}

/** Seconds and memory against the number of frames, beside a line of even growth. An SVG. */
export function drawGrowth(results: Results): string {
  const { growth } = results
  const [first] = growth
  const points = (read: (point: GrowthPoint) => number) => growth.map((point) => [point.frames, read(point)])
  const even = points(({ frames }) => (frames * (first?.seconds ?? 0)) / (first?.frames ?? 1))
  const axis = (name: string) => ({ type: 'value', name, min: 0 })
  return render(860, 360, {
    ...frame,
    title: {
      text: `cost against length: ${caption(results)}`,
      left: 12,
      top: 10,
      textStyle: { fontSize: 14 },
    },
    legend: { top: 34 },
    grid: { left: 70, right: 70, top: 84, bottom: 44 },
    xAxis: { ...axis('frames'), nameLocation: 'middle', nameGap: 28 },
    yAxis: [axis('seconds'), { ...axis('MB'), splitLine: { show: false } }],
    series: [
      { name: 'even growth', type: 'line', data: even, symbol: 'none', color: colours.even, z: 1 },
      { name: 'seconds', type: 'line', data: points(({ seconds }) => seconds), color: colours.ours, z: 2 },
      {
        name: 'largest process, MB',
        type: 'line',
        yAxisIndex: 1,
        data: points((point) => point.peak_rss_mb),
        color: colours.others,
      },
    ],
  })
}

const caption = ({ model, clip, machine }: Results) =>
  `${model}, ${clip.width}x${clip.height}, ${machine.cores} cores of ${machine.cpu}`

export function render(width: number, height: number, option: echarts.EChartsCoreOption): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height })
  chart.setOption(option)
  const svg = chart.renderToSVGString()
  // Its clock would keep the process alive.
  chart.dispose()
  return svg
}

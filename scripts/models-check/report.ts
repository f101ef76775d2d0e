import type { Figures } from './promises.ts'
import type { Steadiness } from './steadiness.ts'

/** `ablation`: of a shipped network, the same without the stability term. */
export type Row = { name: string; figures: Figures; ablation?: Steadiness }

/** A line for each network, under a line of headings; figures stand to the right. */
export function formatTable(rows: Row[]): string {
  const share = ({ figures, ablation }: Row, key: 'noise' | 'pan') =>
    ablation ? `${Math.round((100 * figures[key]) / ablation[key])} %` : '-'
  const columns: [string, (figures: Figures, row: Row) => string][] = [
    ['parameters', ({ parameters }) => parameters.toLocaleString('en')],
    ['MFLOP/px', ({ mflopPerPixel }) => mflopPerPixel.toFixed(4)],
    ['MB', ({ bytes }) => (bytes / 1e6).toFixed(2)],
    ['opset', ({ opset }) => String(opset)],
    ['fps', ({ fps }) => fps.toFixed(1)],
    ['noise', ({ noise }) => noise.toFixed(4)],
    ['pan', ({ pan }) => pan.toFixed(4)],
    ['gradient', ({ gradient }) => gradient.toFixed(4)],
    ['noise/abl.', (_, row) => share(row, 'noise')],
    ['pan/abl.', (_, row) => share(row, 'pan')],
  ]
  const lines = [
    ['network', ...columns.map(([heading]) => heading)],
    ...rows.map((row) => [row.name, ...columns.map(([, cell]) => cell(row.figures, row))]),
  ]
  const widths = lines[0]?.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0))) ?? []
  return lines
    .map((line) =>
      line.map((cell, i) => (i ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0))).join('  '),
    )
    .join('\n')
}

const round = (value: number, digits: number) => Number(value.toFixed(digits))

/** The same for a program, to the digits that mean something. */
export function roundFigures(figures: Figures, ablation?: Steadiness) {
  const { mflopPerPixel, fps, noise, pan, gradient } = figures
  return {
    ...figures,
    mflopPerPixel: round(mflopPerPixel, 5),
    fps: round(fps, 1),
    noise: round(noise, 5),
    pan: round(pan, 5),
    gradient: round(gradient, 5),
    ...(ablation && {
      ofAblation: { noise: round(noise / ablation.noise, 3), pan: round(pan / ablation.pan, 3) },
    }),
  }
}

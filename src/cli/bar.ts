import progress from 'cli-progress'

/** Less tells nothing, more nothing else. */
const [leastBar, mostBar] = [5, 40]

/** A bar on the terminal of standard error; the text beside it takes `textColumns` at most, the bar what is left. */
export function createBar(format: string, textColumns: number) {
  const left = (process.stderr.columns || 80) - textColumns
  const barsize = Math.max(leastBar, Math.min(mostBar, left))
  return new progress.SingleBar(
    { format, barsize, hideCursor: true, stream: process.stderr },
    progress.Presets.shades_classic,
  )
}

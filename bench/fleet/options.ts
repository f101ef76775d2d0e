import { Command, InvalidArgumentError, Option } from 'commander'

export const parts = ['sim', 'real', 'plan'] as const
export type Part = (typeof parts)[number]

export type Options = {
  only?: Part
  workers: number[]
  results: string
  json: boolean
}

/** Reads the command line; prints what is wrong, or the help, and ends the process where there is nothing to run. */
export function readOptions(argv: string[], results: string): Options {
  return new Command('bench:fleet')
    .description('How much of a fleet is work: simulated, with real workers, and how planning holds up.')
    .addOption(
      new Option('--only <part>', 'one part; the others are kept as they were measured last').choices(parts),
    )
    .option('--workers <list>', 'real workers, such as 2,4,8: a run for each', workerCounts, [2, 4, 8, 16])
    .option('--results <folder>', 'where the table, the plots and the JSON go', results)
    .option('--json', 'one JSON value on standard output, nothing else', false)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .parse(argv)
    .opts<Options>()
}

function workerCounts(text: string): number[] {
  return text.split(',').map((part) => {
    const value = Number(part)
    if (Number.isInteger(value) && value >= 1 && value <= 64) return value
    throw new InvalidArgumentError('must be whole numbers from 1 to 64, separated by commas.')
  })
}

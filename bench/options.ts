import { Command, InvalidArgumentError } from 'commander'

export type Peer = { name: string; command: string }

export type Options = {
  clip?: string
  size: { width: number; height: number }
  seconds: number
  model: string
  manifest?: string
  rounds: number
  workers: number
  peer: Peer[]
  cold: boolean
  growth: boolean
  results: string
  json: boolean
}

/** Reads the command line; prints what is wrong, or the help, and ends the process where there is nothing to run. */
export function readOptions(argv: string[], results: string): Options {
  return new Command('bench')
    .description('How fast the model, the engine and the whole system are on this machine, in turn.')
    .option('--clip <file>', 'a video of your own; a clip is rendered otherwise')
    .option('--size <WxH>', 'size of the rendered clip', sizeOf, { width: 640, height: 360 })
    .option('--seconds <n>', 'length of the rendered clip', number(1, 3_600), 20)
    .option('--model <name|path.onnx>', 'model', 'great-wave')
    .option('--manifest <file>', "the model's model.json, for a model given as a path")
    .option('--rounds <n>', 'how often everything is measured', number(1, 99), 3)
    .option('--workers <n>', 'worker processes of the system', number(1, 64), 1)
    .option(
      '--peer <name=cmd>',
      'also run a command in each round, with {in}, {out} and {model} replaced; may be repeated',
      addPeer,
      [],
    )
    .option('--no-cold', 'leave out the runs that start a system first')
    .option('--no-growth', 'leave out the runs of 1, 4 and 16 times the frames')
    .option('--results <folder>', 'where the table, the plots and the JSON go', results)
    .option('--json', 'one JSON value on standard output, nothing else', false)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .parse(argv)
    .opts<Options>()
}

function number(from: number, to: number) {
  return (text: string): number => {
    const value = Number(text)
    if (Number.isInteger(value) && value >= from && value <= to) return value
    throw new InvalidArgumentError(`must be a whole number from ${from} to ${to}.`)
  }
}

function sizeOf(text: string): Options['size'] {
  const [, width, height] = /^(\d{2,5})x(\d{2,5})$/.exec(text) ?? []
  if (width && height && Number(width) % 2 === 0 && Number(height) % 2 === 0) {
    return { width: Number(width), height: Number(height) }
  }
  throw new InvalidArgumentError('must be two even numbers, such as 640x360.')
}

function addPeer(text: string, before: Peer[]): Peer[] {
  const [, name, command] = /^([\w.-]+)=(.+)$/s.exec(text) ?? []
  if (!name || !command)
    throw new InvalidArgumentError('must be name=command, the name of letters, digits, dots and hyphens.')
  if (before.some((peer) => peer.name === name)) throw new InvalidArgumentError(`names ${name} twice.`)
  return [...before, { name, command }]
}

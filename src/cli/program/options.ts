import { type Command, InvalidArgumentError, Option } from 'commander'

/** What a command takes from the process it runs in. */
export type Context = {
  env: NodeJS.ProcessEnv
  /** Aborted once somebody wants the command to stop. */
  signal: AbortSignal
  /** Takes a command's exit code. */
  end(code: Promise<number>): Promise<void>
}

export const json = () =>
  new Option('--json', 'one JSON value on standard output, nothing else').default(false)
const defaultDir = '.framefleet'
export const dir = () =>
  new Option('--dir <folder>', 'where the local stack keeps its data').default(defaultDir)
/** What a command that is told to somebody needs to mean the same folder. */
export const elsewhere = (folder: string) => (folder === defaultDir ? '' : ` --dir ${quoted(folder)}`)
/** As a shell takes it. */
const quoted = (text: string) =>
  /^[\w./~-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
export const onError = () =>
  new Option('--on-error <what>', 'what a frame that cannot be decoded does')
    .choices(['fail', 'passthrough'])
    .default('fail')

/** A whole number between these, both included. */
export const whole = (least: number, most: number) => (text: string) => {
  const value = Number(text)
  if (text.trim() === '' || !Number.isInteger(value) || value < least || value > most)
    throw new InvalidArgumentError(`must be a whole number from ${least} to ${most}.`)
  return value
}

export const workers = () =>
  new Option('--workers <n>', 'worker processes: one scores as many frames side by side as there are cores')
    .argParser(whole(1, 64))
    .default(1)

/** Calls of a command as its help shows them, each with what it does. */
export function examples(command: Command, calls: Record<string, string>): Command {
  // The longest stand alone on their lines rather than push the rest aside.
  const wide = Math.max(...Object.keys(calls).map(({ length }) => (length > 44 ? 0 : length)))
  const lines = Object.entries(calls).map(([call, what]) =>
    `  $ framefleet ${call.padEnd(wide)}   ${what}`.trimEnd(),
  )
  return command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`)
}

/** What every command that calls the API takes. */
export type Common = { dir: string; json: boolean }

/** One line on standard output: a sentence as it is, all else as JSON. */
export const print = (value: unknown) =>
  void process.stdout.write(
    `${typeof value === 'string' ? oneLine(value) : visible(JSON.stringify(value))}\n`,
  )

/** Lines on standard output. */
export const printLines = (lines: string[]) => {
  for (const line of lines) print(line)
}

/** Beside what a command answers: on standard error, several lines perhaps. */
export const tell = (text: string) => void process.stderr.write(`${visible(text)}\n`)

/**
 * Names, errors and lines of logs are others' words: what a terminal would take for a command, or what turns the order of letters,
 * is shown by its number. JSON stays the same JSON. Ends of lines and tabs stay.
 */
export const visible = (text: string): string =>
  text.replaceAll(unseen, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`)

const unseen = /(?![\n\t])[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/** A row is one line, whatever stands in it. */
export const oneLine = (text: string): string => visible(text.trimEnd().replaceAll(/\s*[\r\n]\s*/g, ' '))

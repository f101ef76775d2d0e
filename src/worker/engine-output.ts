import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Logger } from '../shared/log.ts'
import { sparingly } from '../shared/sparingly.ts'

const longest = 2_000

/**
 * What an engine says on standard error: its log lines go on as they are, and what a runtime says, most of all as it dies,
 * becomes lines of ours.
 */
export function hearEngine(output: Readable, relay: (line: string) => void, log: Pick<Logger, 'warn'>): void {
  const say = sparingly<string>(
    (text, heldBack) =>
      log.warn({ text: text.slice(0, longest), ...(heldBack > 0 ? { heldBack } : {}) }, 'the engine says'),
    { most: 20 },
  )
  createInterface({ input: output }).on('line', (line) => {
    if (line.startsWith('{"level":')) relay(`${line}\n`)
    else if (line.trim() !== '') say(line)
  })
}

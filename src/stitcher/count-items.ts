import { InputError } from '../shared/errors.ts'
import type { PartLine } from '../shared/items/item.ts'
import type { ItemsReport } from '../shared/job.ts'
import { redact } from '../shared/redact.ts'

/** A report is read whole. */
const mostNamed = 10_000
const mostNamedLength = 4_000_000
/** As many columns as a table may have, and what a model says beside. */
const mostFields = 10_100
const longestField = 200

/**
 * Counts what became of items, and gathers what the columns of their values are called; of those that failed it names the first
 * ones, in texts of a length that people read. Throws InputError `bad-part` for names that no result has.
 */
export function createItemCount(format: ItemsReport['format']) {
  const items: ItemsReport = { total: 0, failed: 0, format, failures: [] }
  const fields = new Set<string>()
  let namedLength = 0

  function name({ key, error: { code, message } }: Failed): void {
    if (items.failures.length >= mostNamed || namedLength >= mostNamedLength) return
    const failure = { key: cut(key, 1_024), code: cut(code, 100), message: cut(message, 1_000) }
    namedLength += failure.key.length + failure.code.length + failure.message.length
    items.failures.push(failure)
  }

  return {
    items,
    fields,
    note(line: PartLine): void {
      items.total += 1
      if ('error' in line) {
        items.failed += 1
        return name(line)
      }
      for (const field of Object.keys(line.value)) {
        if (fields.has(field)) continue
        if (field.length > longestField || fields.size >= mostFields)
          throw new InputError(
            'bad-part',
            `The values of items have ${mostFields} columns at most, of names of up to ${longestField} characters; those of ${cut(line.key, 1_024)} have others.`,
          )
        fields.add(field)
      }
    },
  }
}

type Failed = Extract<PartLine, { error: object }>

/** Cut first: it may be long. */
const cut = (text: string, length: number) => redact(text.slice(0, length)).slice(0, length)

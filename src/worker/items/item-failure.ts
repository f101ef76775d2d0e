import { InputError } from '../../shared/errors.ts'
import type { Item, PartLine } from '../../shared/items/item.ts'

/** What is wrong with an item, as its line; anything else is thrown on. */
export function failure({ key }: Pick<Item, 'key'>, error: unknown): PartLine {
  if (!(error instanceof InputError)) throw error
  return { key, error: { code: error.code, message: error.message } }
}

export const noNumber = {
  code: 'no-number',
  message: 'What the model gives for it is no finite number (NaN or Infinity).',
}

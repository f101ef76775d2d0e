import { stat } from 'node:fs/promises'
import { InputError } from '../shared/errors.ts'

/** Throws InputError unless there is a file of that path. */
export async function mustBeFile(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (!found) throw new InputError('no-file', `There is no file ${path}.`)
  if (found.isDirectory()) throw new InputError('no-file', `${path} is a folder: name a file in it.`)
  if (!found.isFile()) throw new InputError('no-file', `${path} is no file.`)
}

import { readFile, stat } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { InputError } from '../shared/errors.ts'

/** Throws InputError unless there is a file of that path. */
export async function mustBeFile(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (!found) throw new InputError('no-file', `There is no file ${path}.`)
  if (found.isDirectory()) throw new InputError('no-file', `${path} is a folder: name a file in it.`)
  if (!found.isFile()) throw new InputError('no-file', `${path} is no file.`)
}

/** What a file of JSON, or with `-` standard input, holds. Throws InputError where that is none. */
export async function readJson(file: string): Promise<unknown> {
  const read = await (file === '-' ? text(process.stdin) : readFile(file, 'utf8')).catch(() => {
    throw new InputError('no-file', `There is no file ${file}.`)
  })
  try {
    return JSON.parse(read) as unknown
  } catch {
    throw new InputError('no-json', `${file === '-' ? 'standard input' : file} holds no JSON.`)
  }
}

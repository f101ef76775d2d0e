import { InputError } from './errors.ts'
import { layout } from './layout.ts'

/**
 * Whether a request for the blob of that name reaches that blob, and no other: in a URL, dots are ways to another path, and
 * storage reads a backslash as a slash.
 */
export function isAddressable(name: string): boolean {
  const leads = name.split('/').some((part) => part === '.' || part === '..')
  return name.isWellFormed() && !name.includes('\\') && !leads
}

/** Throws InputError `bad-name` where a request for that name would be one for another. */
export function addressable(name: string): string {
  if (isAddressable(name)) return name
  throw new InputError('bad-name', `${JSON.stringify(name)} can't be the name of a blob.`)
}

/** Undefined where the escapes stand for no text. */
export function unescaped(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}

/** Whether it is a path that everybody reads alike: what comes from strangers names blobs by no other. */
export function isPlainName(name: string): boolean {
  return isAddressable(name) && !name.split('/').includes('')
}

/**
 * What lies under `jobs/` and `open/` is the system's own; of it only what finished jobs made may be read, and nothing written. Nor is
 * anything written where readings are kept: an hour that is closed never changes.
 */
export function isOwnName(name: string, use: 'read' | 'write'): boolean {
  if (name.startsWith(layout.readings)) return use === 'write'
  if (!own.some((prefix) => name.startsWith(prefix))) return false
  return use === 'write' || !/^jobs\/[^/]+\/output\.\w+(?:\/.*)?$/.test(name)
}

/**
 * Whether a listing by that prefix may have the name. Who can name an upload, or a job's output, may read it: nobody finds them by
 * the beginning of a name.
 */
export function isListed(name: string, prefix: string): boolean {
  if (isOwnName(name, 'read')) return false
  if (name.startsWith(layout.uploads)) return layout.uploadFolder.test(prefix)
  return !name.startsWith(layout.jobs) || prefix.startsWith(layout.jobs)
}

/** Throws InputError `reserved-name` for a prefix by which nothing may be listed. `prefix` is a plain one. */
export function checkListed(prefix: string): void {
  checkOwnName(prefix, 'read')
  if (!prefix.startsWith(layout.uploads) || layout.uploadFolder.test(prefix)) return
  throw new InputError(
    'reserved-name',
    `${prefix} has what others brought; below ${layout.uploads} give the whole folder of one upload, with a slash behind it.`,
  )
}

const own = [layout.jobs, layout.openMarks, layout.readings]

/** Throws InputError `reserved-name` for a name of the system's own. `name` is a plain one. */
export function checkOwnName(name: string, use: 'read' | 'write'): void {
  if (!isOwnName(name, use)) return
  throw new InputError(
    'reserved-name',
    `${name} belongs to framefleet itself; names under ${own.find((prefix) => name.startsWith(prefix))} can't be used here.`,
  )
}

import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/**
 * Takes a folder for this process alone; answers how to give it back, or undefined where another process has it.
 *
 * It is SQLite's lock on a file there: the system's own, which ends with the process, however that ends. So there is nothing
 * to find stale, and nothing to keep fresh.
 */
export function lockFolder(dir: string): (() => void) | undefined {
  const file = new DatabaseSync(join(dir, 'lock.sqlite'), { timeout: 0 })
  try {
    file.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    file.close()
    if ((error as { errcode?: number }).errcode === sqliteBusy) return undefined
    throw error
  }
  return () => void (file.isOpen && file.close())
}

const sqliteBusy = 5

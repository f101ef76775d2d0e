import { closeSync, openSync, readFileSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

type Row = { $loki?: number }

/** As much of LokiJS, in which Azurite keeps its books, as is needed here. */
type Collection = {
  name: string
  maxId: number
  get(id: number): Row | null
  insert(row: Row): void
  update(row: Row): void
  remove(row: Row): void
  on(event: string | string[], heard: (row: Row) => void): void
}
type Saved = (error?: Error) => void
type Database = {
  filename: string
  collections: Collection[]
  getCollection(name: string): Collection | null
  saveDatabase(done?: Saved): void
}
/** Reads its database when it begins. */
export type Books = { db: Database; init(): Promise<void> }

/** A row as it is from now on; without one it is gone. */
type Entry = { in: string; id: number; row?: Row }

/**
 * Writes each change of Azurite's books down at once, in a file beside them: by themselves they are written every five seconds, all of
 * them each time. What was written since the last time is put back when they are read again.
 *
 *   books ──► books.journal-1, -2 …     a new one with each writing of the books, which ends those before it
 */
export function keepJournal(books: Books): void {
  const begin = books.init.bind(books)
  books.init = async () => {
    await begin()
    putBack(books.db)
    listen(books.db)
    // What is in the books need not be in the journal any more.
    await new Promise<void>((resolve, reject) => {
      books.db.saveDatabase((error) => (error ? reject(error) : resolve()))
    })
  }
}

function listen(db: Database): void {
  let number = (journalsOf(db).at(-1)?.number ?? 0) + 1
  let file = openSync(pathOf(db, number), 'a')
  // Before it is answered, and before anything else happens: rows name extents, which were there first.
  const write = (entry: Entry) => void writeSync(file, `${JSON.stringify(entry)}\n`)
  for (const collection of db.collections) {
    const { name } = collection
    collection.on(['insert', 'update'], (row) => write({ in: name, id: row.$loki ?? 0, row }))
    collection.on('delete', ({ $loki = 0 }) => write({ in: name, id: $loki }))
  }
  const save = db.saveDatabase.bind(db)
  db.saveDatabase = (done) => {
    closeSync(file)
    number += 1
    file = openSync(pathOf(db, number), 'a')
    const first = number
    save((error) => {
      if (!error) for (const old of journalsOf(db)) if (old.number < first) rmSync(old.path, { force: true })
      done?.(error)
    })
  }
}

function putBack(db: Database): void {
  const last = new Map<string, Map<number, Row | undefined>>()
  for (const { path } of journalsOf(db))
    for (const entry of entriesOf(path)) {
      const rows = last.get(entry.in) ?? new Map<number, Row | undefined>()
      last.set(entry.in, rows.set(entry.id, entry.row))
    }
  for (const [name, rows] of last) {
    const collection = db.getCollection(name)
    if (!collection) continue
    // What is not in the books was made after all that is: in the order of numbers it comes to its own again.
    for (const [id, row] of [...rows].toSorted(([a], [b]) => a - b)) put(collection, id, row)
  }
}

function put(collection: Collection, id: number, row: Row | undefined): void {
  const there = collection.get(id)
  if (row && there) collection.update(row)
  else if (row) {
    const { $loki: _, ...fields } = row
    collection.maxId = id - 1
    collection.insert(fields)
  } else if (there) collection.remove(there)
}

function* entriesOf(path: string): Generator<Entry> {
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    try {
      if (line !== '') yield JSON.parse(line) as Entry
    } catch {
      // The disk was full, or it was killed, in the middle: this was never answered, and nothing comes after it.
      return
    }
  }
}

const pathOf = ({ filename }: Database, number: number) => `${filename}.journal-${number}`

/** The oldest first. */
function journalsOf({ filename }: Database): { path: string; number: number }[] {
  const [dir, start] = [dirname(filename), `${basename(filename)}.journal-`]
  return readdirSync(dir)
    .filter((name) => name.startsWith(start))
    .map((name) => ({ path: join(dir, name), number: Number(name.slice(start.length)) }))
    .sort((a, b) => a.number - b.number)
}

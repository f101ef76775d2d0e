import { appendFile, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'

/** What is held of a group until it fills a file: `bytes` and `items` of all of it, `lines` what is in memory. */
type Held = {
  lines: string[]
  queries: string[]
  items: number
  bytes: number
  inMemory: number
  spilled: boolean
}

const usualMost = 256 << 20
/** What a text in memory takes beside its characters. */
const perText = 64

/**
 * Items of many groups, each until it is taken. In memory there are no more than `most` bytes of their lines: beyond that all of
 * them go to files in `dir`, one a group, so that thousands of groups whose items come in turn are not cut into many small files.
 */
export function createHeldItems(dir: string, most = usualMost) {
  const open = new Map<number, Held>()
  let inMemory = 0
  const pathOf = (group: number) => join(dir, `group-${group}`)

  return {
    add(group: number, line: string, query: string): void {
      const into = open.get(group) ?? {
        ...{ lines: [], queries: [], items: 0, bytes: 0, inMemory: 0, spilled: false },
      }
      open.set(group, into)
      const bytes = Buffer.byteLength(line)
      const beside = query.length
      into.lines.push(line)
      into.queries.push(query)
      into.items += 1
      into.bytes += bytes + beside
      into.inMemory += bytes + beside + perText
      inMemory += bytes + beside + perText
    },
    sizeOf: (group: number): { items: number; bytes: number } => open.get(group) ?? { items: 0, bytes: 0 },
    groups: () => [...open.keys()],
    isFull: () => inMemory > most,
    /** Moves all lines to files. Their queries stay: they are of images, which have one group, so that they fill a file soon. */
    async spill(signal: AbortSignal): Promise<void> {
      const write = async ([group, held]: [number, Held]) => {
        if (held.lines.length === 0) return
        await appendFile(pathOf(group), held.lines.join(''))
        inMemory -= held.inMemory
        Object.assign(held, { lines: [], inMemory: 0, spilled: true })
      }
      await pMap(open, write, { concurrency: 8, signal })
    },
    /** The lines of a group, of which nothing is held any more, and the query of each. */
    async take(group: number): Promise<{ bytes: Buffer; queries: string[] }> {
      const held = open.get(group)
      if (!held) throw new Error(`nothing is held of group ${group}`)
      open.delete(group)
      inMemory -= held.inMemory
      const last = Buffer.from(held.lines.join(''))
      if (!held.spilled) return { bytes: last, queries: held.queries }
      const bytes = Buffer.concat([await readFile(pathOf(group)), last])
      await rm(pathOf(group))
      return { bytes, queries: held.queries }
    },
  }
}

import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** What the roles' logs say of the work that was done. */
export type Diary = {
  /** What the system got done: a batch committed, a job ended. In the order of their ends, in ms of the clock. */
  done: Span[]
  /** Entry → how often a worker had it and found that there was nothing to score. */
  skipped: Map<string, number>
}

export type Span = { from: number; to: number }

type Line = { time?: string; msg?: string; entry?: string; skipped?: string; totalMs?: number }

/** Reads the log files of a stack. A line that was cut off when its process was killed is passed over. */
export async function readDiary(dir: string): Promise<Diary> {
  const diary: Diary = { done: [], skipped: new Map() }
  const logs = join(dir, 'logs')
  for (const name of await readdir(logs)) {
    if (!name.endsWith('.ndjson')) continue
    for (const text of (await readFile(join(logs, name), 'utf8')).split('\n')) {
      if (!text.includes(' done"')) continue
      const line = parse(text)
      if (line.msg === 'batch done' && line.skipped !== undefined) {
        diary.skipped.set(line.entry ?? '', (diary.skipped.get(line.entry ?? '') ?? 0) + 1)
      } else if (line.msg === 'batch done' || line.msg === 'stitch done') {
        const to = Date.parse(line.time ?? '')
        diary.done.push({ from: to - (line.totalMs ?? 0), to })
      }
    }
  }
  diary.done.sort((a, b) => a.to - b.to)
  return diary
}

function parse(text: string): Line {
  try {
    return JSON.parse(text) as Line
  } catch {
    return {}
  }
}

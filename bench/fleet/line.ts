import { createHeap } from './heap.ts'
import type { Machine, SimBatch } from './world.ts'

/** An entry of the queue: a batch, or a copy of one that the machine `copyOf` has. */
export type Entry = { batch: SimBatch; copyOf: Machine | null }

export type Line = ReturnType<typeof createLine>

/** What is given back goes to the front, whatever its priority. */
const front = 0
/** What copies are put on with: the highest priority that BullMQ has. */
const urgent = 1

/** The queue of batches as BullMQ keeps it: by priority, and in order where that is the same. */
export function createLine() {
  const heap = createHeap<Entry & { tag: number; order: number }>((a, b) =>
    a.tag === b.tag ? a.order < b.order : a.tag < b.tag,
  )
  let order = 0
  let returned = 0

  return {
    add: (batch: SimBatch): void => heap.push({ batch, copyOf: null, tag: batch.tag, order: order++ }),
    giveBack: (batch: SimBatch): void => heap.push({ batch, copyOf: null, tag: front, order: --returned }),
    addCopy: (batch: SimBatch, copyOf: Machine): void =>
      heap.push({ batch, copyOf, tag: urgent, order: order++ }),
    take: (): Entry | undefined => heap.pop(),
    length: heap.size,
    /** The virtual start time of whatever is first; 0 where the line is empty. */
    head: (): number => heap.peek()?.tag ?? 0,
  }
}

import type { BatchPayload, BatchResult } from '../shared/job.ts'
import type { PackedError } from '../shared/packed-error.ts'
import type { Range } from '../shared/media/frame-range.ts'

/** How a batch is to be scored. */
export type Manner = {
  /** Somebody has begun it before, and may have committed it. */
  again: boolean
  /** One frame at a time on one thread: what asks least of memory. */
  small?: boolean
  /** Frames of the video that the model must not see: they show the source's picture. */
  through?: number[]
  /** Only to see whether these frames can be scored: nothing is kept. */
  trial?: Range
}

/** What a worker and its engine, a child process, say to each other. Calls are told apart by number. */
export type ToEngine =
  | { score: BatchPayload; manner: Manner; call: number; fields: Record<string, unknown> }
  /** Whether anything can be scored here: the pass-through model on a small black frame. */
  | { check: true; call: number }
  | { abort: string; call: number }

export type FromEngine =
  | { result: BatchResult; call: number }
  | { fit: true; call: number }
  /** Said every `aliveMs`, whatever is under way. */
  | { alive: true }
  | { failed: PackedError; call: number }
  /** `scoring`: its first frames have reached the model. `decoded`: the last one has been decoded. */
  | { reached: 'scoring' | 'decoded'; call: number }

export const aliveMs = 2_000

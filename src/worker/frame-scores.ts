import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import { InputError } from '../shared/errors.ts'
import { toMicroseconds } from '../shared/frame-times.ts'
import type { PartLine } from '../shared/items/item.ts'
import { maxLineBytes, maxPartBytes } from '../shared/items/ndjson.ts'
import type { Plan } from '../shared/job.ts'
import type { Range } from '../shared/media/frame-range.ts'
import { type Size, frameThrough } from '../shared/models/fit.ts'
import type { StoredModel } from '../shared/models/model-store.ts'
import type { Engine, Ring } from './engine.ts'
import type { ScoreTensor } from './inference-thread.ts'
import { noNumber } from './items/item-failure.ts'
import { readScores } from './items/read-scores.ts'
import type { FrameSink } from './score-frames.ts'

type Scores = {
  plan: Plan
  manifest: StoredModel & Required<Pick<StoredModel, 'scores'>>
  wish: { top?: number | undefined; threshold?: number | undefined }
  engine: Pick<Engine, 'group'>
  ring: Ring
  /** Of the frames as they are decoded. */
  decoded: Size
  range: Range
  /** Ticks of the range's frames. */
  times: number[]
  /** Gives a line the names that the job wants. */
  named(line: PartLine): PartLine
  /** Told of each frame of which the model says no number; throws where the job forgives no more. */
  onNoNumber(frame: number): void
  /** The file to write. */
  path: string
}

/**
 * Writes what a model says of frames: a line for each, whose key is the frame's number in the video. A value begins with that number
 * and the frame's time, in seconds as players count them. A frame that the model was not shown, or says no number of, is one that
 * failed. Throws
 * InputError `model-refuses` where the model gives something else than its manifest says, and `too-much-output`.
 */
export function scoresOfFrames(job: Scores): FrameSink {
  const { plan, manifest, engine, ring, decoded, range, times } = job
  const { video } = plan
  let bytes = 0
  const said: ScoreTensor[][] = ring.slots.map(() => [])
  const file = createWriteStream(job.path)
  // Who writes waits for it, or sees it fail at the end; until then it must not end the process.
  file.on('error', () => {})
  const seen = {
    model: frameThrough(manifest, decoded).padded,
    ...{ inside: decoded, image: { width: video.width, height: video.height } },
  }
  const origin = plan.keyframes === null ? 0 : Math.round(plan.startSeconds * 1e6)

  /** What the model says of one of the batch's frames, or that it says nothing. */
  function lineOf(slot: number, n: number, frame: number): PartLine {
    const number = range.first + frame
    const key = String(number)
    const micros = toMicroseconds(times[frame] ?? 0, video.timeBase) - origin
    const scores = readScores(said[slot] ?? [], manifest.scores, {
      ...{ n, of: engine.group, seen, wish: job.wish },
    })
    if (scores) return job.named({ key, value: { frame: number, time: micros / 1e6, ...scores } })
    job.onNoNumber(number)
    return { key, error: noNumber }
  }

  return {
    async run(slot) {
      const { ms, tensors } = await ring.read(slot)
      said[slot] = tensors
      return ms
    },
    async take({ slot, place, unseen }, frames) {
      for (const frame of frames) {
        const key = String(range.first + frame)
        const line = unseen ? { key, error: unscorable } : lineOf(slot, place, frame)
        if (file.destroyed) throw file.errored ?? new Error('the part was ended')
        const text = `${JSON.stringify(line)}\n`
        const length = Buffer.byteLength(text)
        bytes += length
        if (length > maxLineBytes) throw tooLarge(key)
        if (bytes > maxPartBytes) throw tooMuch(range)
        if (!file.write(text)) await once(file, 'drain')
      }
    },
    async finish() {
      file.end()
      await finished(file)
    },
    // With an error, so that who waits for the file hears of it.
    kill: () => void file.destroy(new Error('the part was ended')),
  }
}

const tooMuch = ({ count }: Range) =>
  new InputError(
    'too-much-output',
    `The scores of ${count} frames have more than ${maxPartBytes >> 20} MiB; ask for smaller batches (batch.frames).`,
  )

const tooLarge = (frame: string) =>
  new InputError(
    'too-much-output',
    `The scores of frame ${frame} have more than ${maxLineBytes >> 20} MiB, which is the limit.`,
  )

const unscorable = { code: 'unscorable', message: 'The model fails on it alone.' }

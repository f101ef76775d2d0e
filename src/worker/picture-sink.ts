import { resizeRgb } from '../shared/image.ts'
import type { Size } from '../shared/models/fit.ts'
import type { SegmentEncoder } from './encode-segment.ts'
import type { Engine, Ring } from './engine.ts'
import { type FrameSink, part } from './score-frames.ts'

type Pictures = {
  engine: Pick<Engine, 'group' | 'output'>
  ring: Ring
  /** Of the frames as they are decoded. */
  decoded: Size
  encoder: SegmentEncoder
}

/** Hands the model's pictures to an encoder. A frame that the model was not shown keeps its own. */
export function pictureSink({ engine, ring, decoded, encoder }: Pictures): FrameSink {
  return {
    run: ring.run,
    async take({ slot, place, unseen }, frames) {
      const pixels = unseen
        ? await resizeRgb(unseen, decoded, engine.output)
        : part(ring.slots[slot]?.output, engine.group, place)
      for (const frame of frames) await encoder.write(pixels, frame)
    },
    finish: encoder.finish,
    kill: encoder.kill,
  }
}

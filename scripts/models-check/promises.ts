import { sha256 } from '../../src/shared/models/model-store.ts'
import type { Steadiness } from './steadiness.ts'
import type { Subject } from './subjects.ts'

/** What is measured of a network; `fps` and `mflopPerPixel` at 640x360, a multiply-add counted as two. */
export type Figures = Steadiness & {
  parameters: number
  mflopPerPixel: number
  bytes: number
  opset: number
  fps: number
}

/** What every shipped network keeps to; the last, against the one trained without the stability term. */
const limits = { bytes: 2_000_000, mflopPerPixel: 0.1, opset: 17, ofAblation: 0.5 }

/** A sentence for each promise that a shipped network breaks. */
export function brokenPromises(
  { name, manifest, bytes }: Pick<Subject, 'name' | 'manifest' | 'bytes'>,
  figures: Figures,
  ablation: Steadiness,
): string[] {
  const share = (key: 'noise' | 'pan') => figures[key] / ablation[key]
  const tooMuch = (key: 'noise' | 'pan') =>
    share(key) > limits.ofAblation &&
    `its change for ${key} is ${share(key).toFixed(3)} of the ablation's, more than ${limits.ofAblation}`
  return [
    figures.bytes > limits.bytes && `it has ${figures.bytes} bytes, more than ${limits.bytes}`,
    figures.mflopPerPixel > limits.mflopPerPixel &&
      `it takes ${figures.mflopPerPixel.toFixed(4)} MFLOP a pixel, more than ${limits.mflopPerPixel}`,
    figures.opset < limits.opset && `its opset is ${figures.opset}, less than ${limits.opset}`,
    manifest.sha256 !== sha256(bytes) && 'its sha256 is not the one in model.json',
    tooMuch('noise'),
    tooMuch('pan'),
  ]
    .filter((broken) => broken !== false)
    .map((broken) => `${name}: ${broken}.`)
}

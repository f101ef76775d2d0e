import { z } from 'zod'
import { InputError } from '../errors.ts'

const triple = z.tuple([z.number(), z.number(), z.number()])

/**
 * What the numbers of an image tensor mean. `mean` and `std` are those of 0..1 values, as in
 * (value / 255 - mean) / std, in the order of the tensor's own channels: blue first when they are BGR.
 */
export const ValueRange = z.union([
  z.enum(['0..1', '0..255', '-1..1']),
  z.strictObject({
    mean: triple,
    std: triple.refine((std) => std.every((value) => value > 0), 'must be greater than 0'),
  }),
])
export type ValueRange = z.infer<typeof ValueRange>

const imageFields = {
  /** The tensor's name in the graph; may be left out when there is only one. */
  name: z.string().min(1).optional(),
  layout: z.enum(['NCHW', 'NHWC']).default('NHWC'),
  type: z.enum(['float32', 'uint8']).default('uint8'),
  range: ValueRange.default('0..255'),
  /** Y: one channel, how bright a pixel is (BT.601); the colours of what comes out are the source's. */
  channels: z.enum(['RGB', 'BGR', 'Y']).default('RGB'),
}
const bytesAreBytes = (image: { type: string; range: ValueRange }) =>
  image.type !== 'uint8' || image.range === '0..255'
const bytesAreBytesError = { path: ['range'], error: "must be '0..255' when the type is uint8" }

const oneRange = ({ channels, range }: { channels: string; range: ValueRange }) =>
  channels !== 'Y' ||
  typeof range === 'string' ||
  [range.mean, range.std].every((values) => new Set(values).size === 1)
const oneRangeError = { path: ['range'], error: 'must have one mean and one std, three times, for Y' }

const ImageInput = z
  .strictObject({ kind: z.literal('image').optional(), ...imageFields })
  .refine(bytesAreBytes, bytesAreBytesError)
  .refine(oneRange, oneRangeError)
/** A tensor [N, count] of numbers: N rows of a table, the columns that a job calls its features. */
const FeaturesInput = z.strictObject({
  kind: z.literal('features'),
  /** The tensor's name in the graph; may be left out when there is only one. */
  name: z.string().min(1).optional(),
  type: z.enum(['float32', 'float64']).default('float32'),
  count: z.int().min(1).max(4_096),
})
const ImageOutput = z
  .strictObject({
    ...imageFields,
    /** The output's width over the input's: 2 for an upscaler that doubles. */
    scale: z.number().positive().default(1),
  })
  .refine(bytesAreBytes, bytesAreBytesError)
  .refine(oneRange, oneRangeError)

const hex64 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hex digits')

const pixels = z.int().min(1).max(16_384)
// Said by the members too: zod lets the nearest one speak, which knows nothing of the other.
const sizeError = 'must be { multipleOf } or { width, height }, in whole pixels'
const AnySize = z.strictObject({ multipleOf: z.int().min(1).max(4_096).default(1) }, sizeError)
const OneSize = z.strictObject(
  {
    width: pixels,
    height: pixels,
    /** `stretch` to it and back, `letterbox`: the whole frame inside it, or `tile`: as many of it as cover the frame. */
    fit: z.enum(['stretch', 'letterbox', 'tile']).default('stretch'),
  },
  sizeError,
)

const styleSizeError = 'must be { longSide, multipleOf } or { width, height }, in whole pixels'
const StyleSize = z.strictObject(
  {
    longSide: z.int().min(8).max(4_096).default(512),
    multipleOf: z.int().min(1).max(256).default(8),
  },
  styleSizeError,
)

/** A second input: the image whose style the frames are to take. */
const StyleInput = z
  .strictObject({
    ...imageFields,
    name: z.string().min(1),
    /** The image is brought to this many pixels on its longer side, or covers the one size there is. */
    size: z
      .union([StyleSize, z.strictObject({ width: pixels, height: pixels }, styleSizeError)], styleSizeError)
      .prefault({}),
    /** Of the image that comes with the model, in hex: the style of jobs that name none. */
    image: hex64.optional(),
  })
  .refine(bytesAreBytes, bytesAreBytesError)

/**
 * What a model tells of an item, where it makes no image of it. Names are those of the graph's outputs, and may be left out
 * where there is only one.
 */
const Scores = z.strictObject({
  task: z.enum(['classification', 'detection', 'vector', 'anomaly']),
  /** Of the classes, in order. */
  labels: z.array(z.string().max(200)).max(100_000).optional(),
  /** [N, classes], or of a detector [N, boxes, classes]. */
  scores: z.string().min(1).optional(),
  /** [N, boxes, 4]: left, top, right and bottom, as parts of the model's picture or in its pixels. */
  boxes: z.string().min(1).optional(),
  boxUnit: z.enum(['relative', 'pixels']).default('relative'),
  /** Class of a detector that stands for nothing being there. */
  background: z.int().min(0).optional(),
  /** Of two boxes of a class that overlap by more than this, the better one stays. */
  overlap: z.number().min(0).max(1).default(0.5),
  /** Whether the scores are logits, which a softmax turns into probabilities. */
  softmax: z.boolean().default(false),
})
export type ScoresSpec = z.infer<typeof Scores>

/** model.json: what the graph itself doesn't say about a model. */
export const ModelManifest = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and hyphens, 63 at most'),
    version: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,32}$/, 'must be letters, digits, dots, hyphens and underscores, 32 at most')
      .default('1'),
    /** Of model.onnx, in hex. */
    sha256: hex64.optional(),
    title: z.string().optional(),
    description: z.string().optional(),
    licence: z.string().optional(),
    input: z.discriminatedUnion('kind', [ImageInput, FeaturesInput]).prefault({}),
    output: ImageOutput.prefault({}),
    style: StyleInput.optional(),
    /** Of a model that makes no image: what it makes. `output` says nothing then. */
    scores: Scores.optional(),
    /** Any size whose sides are padded up to a multiple, or one size only, to which frames are fitted. */
    size: z.union([AnySize, OneSize], sizeError).prefault({}),
  })
  .refine(({ input, scores }) => input.kind !== 'features' || (scores && scores.task !== 'detection'), {
    path: ['scores'],
    error: 'must tell what a model of features makes: { task } with classification, vector or anomaly',
  })
  .refine(({ input, style }) => input.kind !== 'features' || !style, {
    path: ['style'],
    error: 'is of models of images only',
  })
  .refine(
    ({ input, output, scores }) =>
      input.kind === 'features' || scores || channelsOf(input) === channelsOf(output),
    { path: ['output', 'channels'], error: 'must be Y where those of the input are, and nowhere else' },
  )
  .refine(({ style }) => !style || channelsOf(style) === 3, {
    path: ['style', 'channels'],
    error: 'must be RGB or BGR',
  })
  .meta({ id: 'Model' })
export type ModelManifest = z.infer<typeof ModelManifest>
export type ImageInput = z.infer<typeof ImageInput>
export type FeaturesInput = z.infer<typeof FeaturesInput>
/** Of a tensor that is a picture. */
export const channelsOf = ({ channels }: Pick<ImageInput, 'channels'>): 1 | 3 => (channels === 'Y' ? 1 : 3)

export type ImageSpec = Pick<ImageInput, 'name' | 'layout' | 'type' | 'range' | 'channels'>

/** Whether a model scores rows of a table: `input.count` numbers of each. Any other takes images. */
export const takesFeatures = <Model extends Pick<ModelManifest, 'input'>>(
  model: Model,
): model is Model & { input: FeaturesInput } => model.input.kind === 'features'

/** The input of a model of images. Throws InputError `model-mismatch` for one of features. */
export function imageInput({ name, input }: Pick<ModelManifest, 'name' | 'input'>): ImageInput {
  if (input.kind !== 'features') return input
  throw new InputError('model-mismatch', `The model ${name} takes rows of a table, not images.`)
}

/**
 * Reads a manifest and fills in its defaults. `where` is what the error calls it, such as a path or a blob's name.
 * Throws InputError `bad-manifest`, naming the first field that is wrong.
 */
export function parseManifest(json: unknown, where: string): ModelManifest {
  const parsed = ModelManifest.safeParse(json)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const field = issue?.path.join('.') || 'the manifest'
  throw new InputError('bad-manifest', `${where}: ${field}: ${issue?.message ?? 'is not valid'}.`)
}

import type { BlobStore } from '../shared/blob-store.ts'
import { InputError } from '../shared/errors.ts'
import type { JobRequest, JobSpec, SourceRef } from '../shared/job.ts'
import { takesFeatures } from '../shared/models/manifest.ts'
import type { ModelRef, ModelStore, StoredModel } from '../shared/models/model-store.ts'
import { maxStyleBytes } from '../shared/models/style-image.ts'
import type { SourceReader } from '../shared/source.ts'
import { checkVideoOutput } from './accept-video.ts'
import { checkFeatures } from './items/check-model.ts'
import { checkResult } from './items/check-result.ts'
import { columnsIn } from './items/partitions.ts'
import { type SourcePolicy, checkUrl } from './source-policy.ts'

type ModelDeps = {
  models: Pick<ModelStore, 'resolve'>
  sources: Pick<SourceReader, 'look'>
  media: BlobStore
  policy: SourcePolicy
}

/** Of a job, or of one whose source is not known yet. */
type Asked = Omit<JobRequest, 'source'> & { source?: JobRequest['source'] }

type Accepted = { models: Pick<JobSpec, 'model' | 'models' | 'style'>; makesScores: boolean }

/** What a job's spec says of its models and its style, and whether they make no pictures. Throws InputError for what is wrong with them. */
export async function acceptModels(deps: ModelDeps, request: Asked): Promise<Accepted> {
  const { source, model: only, models, modelBy, style } = request
  if (modelBy) {
    checkPattern(modelBy.pattern, source)
    checkResult(request, undefined)
    return { models: { model: { name: modelBy.pattern, version: '', sha256: '' } }, makesScores: true }
  }
  const stored: StoredModel[] = []
  for (const ref of models ?? [only ?? '']) stored.push(await deps.models.resolve(ref))
  const [model] = stored as [StoredModel]
  const refs = stored.map(refOf)
  const twice = refs.find((ref, i) => refs.findIndex((other) => nameOf(other) === nameOf(ref)) !== i)
  if (twice) throw new InputError('bad-model', `The model ${nameOf(twice)} is named twice.`)
  for (const each of stored) checkKind(each, request)
  checkResult(request, stored)
  if (style && stored.length > 1)
    throw new InputError('no-style', 'A style image goes with one model: give model.')
  const styles = await Promise.all(stored.map(async (each) => await acceptStyle(deps, each, style?.url)))
  const said = { model: refOf(model), ...(models ? { models: refs } : {}), style: styles[0] }
  return { models: said, makesScores: model.scores !== undefined }
}

const refOf = ({ name, version, sha256 }: StoredModel): ModelRef => ({ name, version, sha256 })
const nameOf = ({ name, version }: ModelRef) => (version === '' ? name : `${name}@${version}`)

const mostNamed = 3

/** A job's models as they are shown: a few by name, a pattern as it was given. */
export function modelsSaid({ model, models = [model] }: Pick<JobSpec, 'model' | 'models'>): string {
  const more = models.length - mostNamed
  return `${models.slice(0, mostNamed).map(nameOf).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function checkPattern(pattern: string, source: JobRequest['source'] | undefined): void {
  if (!source?.table) throw new InputError('bad-model', 'Only a table has partitions: give model, or models.')
  const { partitionBy = [] } = source.table
  const unknown = columnsIn(pattern).find((column) => !partitionBy.includes(column))
  if (unknown === undefined && partitionBy.length > 0) return
  throw new InputError(
    'bad-model',
    `The columns in modelBy.pattern must be among those that tell a partition (source.table.partitionBy)${unknown === undefined ? '' : `: ${unknown} is not`}.`,
  )
}

/** A model takes images or rows, and makes an image or tells something: source and output must be of that kind. */
function checkKind(model: StoredModel, { source, output, intermediate }: Asked): void {
  if (source?.table) return checkFeatures(model, source.table)
  const { name, scores } = model
  if (takesFeatures(model))
    throw new InputError('model-mismatch', `The model ${name} takes rows of a table: give source.table.`)
  if (source?.url !== undefined) return checkVideoOutput(model, { output, intermediate })
  if (scores && !output.scores)
    throw new InputError('bad-output', `The model ${name} makes no images: give output.scores.`)
  if (!scores && output.scores)
    throw new InputError('bad-output', `The model ${name} makes images: leave output.scores out.`)
}

/** Looks at the style image of a job, whose model must be one that takes it. */
async function acceptStyle(
  { sources, policy, media }: ModelDeps,
  model: StoredModel,
  url: string | undefined,
): Promise<SourceRef | undefined> {
  if (url === undefined && model.style && !model.style.image) {
    throw new InputError('style-needed', `The model ${model.name} needs a style image: give style.url.`)
  }
  if (url === undefined) return undefined
  if (!model.style) throw new InputError('no-style', `The model ${model.name} takes no style image.`)
  checkUrl(url, 'read', { media, policy })
  const style = await sources.look(url)
  if (style.bytes <= maxStyleBytes) return style
  throw new InputError(
    'style-too-large',
    `The style ${style.url} has ${style.bytes} bytes; ${maxStyleBytes} are the limit.`,
  )
}

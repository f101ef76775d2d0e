import { createHash, randomUUID } from 'node:crypto'
import type { FlowProducer } from 'bullmq'
import type { Backlog } from '../shared/backlog.ts'
import type { AcceptedOutputs } from '../shared/accepted-outputs.ts'
import type { BlobStore } from '../shared/blob-store.ts'
import { checkWish } from '../shared/encoding.ts'
import { InputError, TransientError } from '../shared/errors.ts'
import type { JobRequest, JobSpec, SourceRef } from '../shared/job.ts'
import type { JobFiles } from '../shared/job-files.ts'
import { pacedBy } from '../shared/items/items-plan.ts'
import { kindOf } from '../shared/job-kind.ts'
import type { JobStatuses } from '../shared/job-status.ts'
import type { Logger } from '../shared/log.ts'
import type { ModelStore } from '../shared/models/model-store.ts'
import { publicUrl } from '../shared/redact.ts'
import type { SourceReader } from '../shared/source.ts'
import { type Tracing, untraced } from '../shared/tracing.ts'
import { acceptModels, modelsSaid } from './accept-models.ts'
import { type Admission, estimateFrames } from './admission.ts'
import { withScores } from './accept-video.ts'
import type { FairOrder } from './fair-queue.ts'
import { addFlow } from './flow.ts'
import { checkItems, lookAtItems } from './items/accept-items.ts'
import { type SourcePolicy, checkUrl } from './source-policy.ts'
import { keepSources } from './written-over.ts'

/** What a request may have in all: a list of a thousand images with a SAS each, or the columns of a wide table. */
export const mostRequestBytes = 1 << 20

export type AcceptDeps = {
  media: BlobStore
  files: JobFiles
  outputs: Pick<AcceptedOutputs, 'keep'>
  statuses: JobStatuses
  sources: SourceReader
  models: ModelStore
  flows: FlowProducer
  order: Pick<FairOrder, 'splitPriority'>
  backlog: Pick<Backlog, 'put' | 'drop'>
  admit: Admission
  /** Whether a job's flow is on the queues already. */
  isQueued(jobId: string): Promise<boolean>
  policy: SourcePolicy
  maxSourceBytes: number
  tracing?: Tracing
  log: Logger
}

/**
 * Accepts a job, or throws InputError for everything that can be seen to be wrong at once. With an idempotency key
 * the id follows from the key (and the caller), so the same request sent again meets the job it started, even after
 * Redis was wiped. With `version`, an ETag, only that version of the source is taken: throws TransientError for another. `trace`: the
 * caller's own, which the job's goes on.
 */
export async function acceptJob(
  deps: AcceptDeps,
  request: JobRequest,
  caller: Caller & { trace?: string | undefined },
): Promise<JobSpec> {
  const { tracing = untraced } = deps
  const attributes = { 'framefleet.model': request.model ?? request.models?.[0] ?? request.modelBy?.pattern }
  return await tracing.root('accept', { parent: caller.trace, attributes }, async (span) => {
    const spec = await accept(deps, request, { ...caller, trace: span?.parent })
    span?.set({ 'framefleet.job': spec.id })
    return spec
  })
}

type Caller = { client: string; key?: string; version?: string }

async function accept(
  deps: AcceptDeps,
  request: JobRequest,
  caller: Caller & { trace: string | undefined },
): Promise<JobSpec> {
  const { files } = deps
  const id = caller.key === undefined ? randomUUID() : keyedId(caller.client, caller.key)
  const requestHash = hash(JSON.stringify(request))
  const known = caller.key === undefined ? undefined : await files.findSpec(id)
  if (known) return await again(deps, known, requestHash)

  checkSource(deps, request)
  checkTarget(deps, request)
  // Both at once: somebody waits. What is wrong with the model is said first, whichever answer comes first.
  const looking = lookAtSource(deps, request)
  looking.catch(() => {})
  const { models, makesScores } = await acceptModels(deps, request)
  const source = await looking
  if (caller.version !== undefined && source.etag !== caller.version)
    throw new TransientError(`The source ${source.url} changed while it was looked at.`)
  if (source.bytes === 0 && source.kind !== 'many')
    throw new InputError('source-empty', `The source ${source.url} is empty (0 bytes).`)
  if (source.bytes > deps.maxSourceBytes) {
    throw new InputError(
      'source-too-large',
      `The source has ${source.bytes} bytes; ${deps.maxSourceBytes} are the limit.`,
    )
  }

  const queryOf = (url: string | undefined) => (url === undefined ? '' : new URL(url).search)
  const { images, table } = request.source
  const sourceQuery = queryOf(request.source.url ?? images?.manifest ?? table?.url)
  const itemQueries = images?.list?.map(queryOf)
  const isListed = itemQueries?.some(Boolean) ?? false
  const styleQuery = queryOf(request.style?.url)
  const target = request.output.scores?.url ?? request.output.url
  const outputQuery = queryOf(target)
  const frames = estimateFrames({ request, source, ...models })
  await deps.admit({ id, client: caller.client, frames })
  const { spec, created } = await keep().catch(async (error: unknown) => {
    await deps.backlog.drop(id)
    throw error
  })
  if (!created) return await again(deps, spec, requestHash)
  await queueJob(deps, spec).catch(async (error: unknown) => {
    // Who sent no key would send it again as another job: this one must not be put on the queues later, and if it is
    // there, though its answer was lost, nothing is done of a job without a spec.
    if (caller.key === undefined) await Promise.allSettled([files.removeJob(id), deps.backlog.drop(id)])
    throw error
  })
  return spec

  async function keep() {
    const output = target === undefined ? undefined : publicUrl(target)
    const { prefix } = request.output.images ?? {}
    await deps.outputs.keep(id, requestHash, { url: output, query: outputQuery, prefix })
    if (sourceQuery + styleQuery !== '' || isListed)
      await files.writeSecret(id, { sourceQuery, outputQuery: '', styleQuery, itemQueries })
    return await files.keepSpec({
      v: 1,
      id,
      createdAt: new Date().toISOString(),
      request: withoutSecrets(makesScores ? withScores(request) : request),
      requestHash,
      client: caller.client,
      source,
      ...models,
      hasSecret: sourceQuery + styleQuery + outputQuery !== '' || isListed,
      ...(caller.trace === undefined ? {} : { trace: caller.trace }),
    })
  }
}

/** Throws InputError for what can be seen to be wrong with a job of whatever source. */
export async function checkJob(
  deps: AcceptDeps,
  request: Omit<JobRequest, 'source'> & { source?: JobRequest['source'] },
): Promise<void> {
  checkTarget(deps, request)
  await acceptModels(deps, request)
}

/** Throws InputError for what can be seen to be wrong with a job's source without looking at it. */
export function checkSource(deps: AcceptDeps, request: JobRequest): void {
  const { url } = request.source
  if (url === undefined) checkItems(deps, request)
  else checkVideo(deps, request, url)
  keepSources(deps.media, request)
}

function checkVideo(deps: AcceptDeps, request: JobRequest, url: string): void {
  checkUrl(url, 'read', deps)
  if (request.output.images)
    throw new InputError('bad-output', 'A video becomes a video, or scores: leave output.images out.')
  if (request.models || request.modelBy)
    throw new InputError('bad-model', 'A video is scored by one model: give model.')
  if (request.errorThreshold > mostUnscored)
    throw new InputError(
      'bad-request',
      `Of a video at most ${mostUnscored} frames may go unscored (errorThreshold).`,
    )
}

/** A segment says of itself which they are. */
const mostUnscored = 1_000

async function lookAtSource({ sources, media }: AcceptDeps, { source }: JobRequest): Promise<SourceRef> {
  return source.url === undefined
    ? await lookAtItems({ sources, media }, source)
    : await sources.look(source.url)
}

function checkTarget(deps: AcceptDeps, { output }: Pick<JobRequest, 'output'>): void {
  const url = output.scores?.url ?? output.url
  if (url) checkUrl(url, 'write', deps)
  checkWish(output)
}

/** The same key again: the same request meets its job (queued anew if that never happened); another one is refused. */
async function again(deps: AcceptDeps, spec: JobSpec, requestHash: string): Promise<JobSpec> {
  if (spec.requestHash !== requestHash) {
    throw new InputError('idempotency-mismatch', 'This Idempotency-Key was used for another request.')
  }
  await putInLine(deps, spec)
  return spec
}

/** Whoever accepted it may have died before it was in line; one that has ended stays as it is. */
export async function putInLine(deps: AcceptDeps, spec: JobSpec): Promise<void> {
  if (await deps.files.readReport(spec.id)) return
  await deps.backlog.put(spec.id, spec.client, estimateFrames(spec))
  await queueJob(deps, spec)
}

/**
 * The mark first: what is marked is put on the queues by somebody, whatever happens here. Then the flow: a job that
 * shows as queued is queued. A flow that is there already is never added again. The job runs from then on, so it is
 * accepted: a status that can't be noted now is made anew by whoever looks at the open jobs.
 */
async function queueJob(
  { files, statuses, isQueued, log, ...deps }: AcceptDeps,
  spec: JobSpec,
): Promise<void> {
  await files.markOpen(spec.id)
  if (!(await isQueued(spec.id))) await addFlow(deps, spec)
  await statuses.create(statusOf(spec)).catch((err: unknown) => {
    log.warn({ err, job: spec.id }, 'the status of an accepted job could not be noted')
  })
}

export const statusOf = (spec: JobSpec) => ({
  id: spec.id,
  createdAt: Date.parse(spec.createdAt),
  model: modelsSaid(spec),
  source: spec.source.url,
  client: spec.client,
  priority: spec.request.priority,
  kind: kindOf(spec),
  paceModels: spec.models?.map((model) => pacedBy(spec, model)),
})

function withoutSecrets(request: JobRequest): JobRequest {
  const { source, output, style } = request
  return {
    ...request,
    source: publicSource(source),
    style: style && { url: publicUrl(style.url) },
    output: {
      ...output,
      ...(output.url && { url: publicUrl(output.url) }),
      ...(output.scores?.url && { scores: { ...output.scores, url: publicUrl(output.scores.url) } }),
    },
  }
}

function publicSource({ url, images, table }: JobRequest['source']): JobRequest['source'] {
  return {
    ...(url && { url: publicUrl(url) }),
    ...(images && {
      images: {
        ...images,
        ...(images.list && { list: images.list.map(publicUrl) }),
        ...(images.manifest && { manifest: publicUrl(images.manifest) }),
      },
    }),
    ...(table && { table: { ...table, ...(table.url && { url: publicUrl(table.url) }) } }),
  }
}

const hash = (text: string) => createHash('sha256').update(text).digest('hex')

/** An id in the form of a UUID that depends on the caller and the key alone. */
export function keyedId(client: string, key: string): string {
  const hex = hash(`${client}\n${key}`)
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  )
}

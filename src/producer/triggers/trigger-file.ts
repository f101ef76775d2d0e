import { posix } from 'node:path'
import { z } from 'zod'
import { InputError } from '../../shared/errors.ts'
import { JobFields, JobRequest } from '../../shared/job.ts'
import { notOfTemplates, triggerSuffix } from './rule.ts'
import { toJson } from './to-json.ts'

/** Its bytes at most. */
export const longestTriggerFile = 64 << 10

const Reference = z.union([
  z.strictObject({ name: z.string().min(1).max(1_000) }),
  z.strictObject({ url: z.url({ protocol: /^https?$/ }).max(4_000) }),
])

const { output, model } = JobFields.shape

/**
 * `*.trigger.json`: a job request, in which blobs of the media container may be named instead of by their URLs: beside the
 * file, or from the top with a slash before. Without a source it is that of the file's own name: `film.mp4.trigger.json` is
 * for `film.mp4`.
 */
const TriggerFile = JobFields.omit(notOfTemplates).extend({
  model: model.unwrap(),
  source: Reference.optional(),
  style: Reference.optional(),
  output: output
    .unwrap()
    .omit({ images: true, scores: true })
    .extend({ name: z.string().min(1).max(1_000).optional() })
    .refine(({ name, url }) => name === undefined || url === undefined, 'give either a name or a url')
    .default({}),
})

/** The request that a trigger file makes; `name` is the file's. Throws InputError `bad-trigger` with one sentence. */
export function readTriggerFile(name: string, text: string, urlOf: (name: string) => string): JobRequest {
  const { source, style, output: wanted, ...rest } = parse(name, text)
  const { name: target, ...out } = wanted
  const beside = (other: string) => urlOf(resolved(name, other))
  const urlOfReference = (it: z.infer<typeof Reference>) => ('url' in it ? it.url : beside(it.name))
  const own = name.slice(0, -triggerSuffix.length)
  return JobRequest.parse({
    ...rest,
    source: { url: source ? urlOfReference(source) : urlOf(own) },
    ...(style && { style: { url: urlOfReference(style) } }),
    output: { ...out, ...(target !== undefined && { url: beside(target) }) },
  })
}

function parse(name: string, text: string): z.infer<typeof TriggerFile> {
  const value = toJson(text)
  if (value === undefined) throw bad(name, 'it is no JSON')
  const read = TriggerFile.safeParse(value)
  if (read.success) return read.data
  const [issue] = read.error.issues
  const where = issue?.path.join('.')
  throw bad(name, `${where ? `${where}: ` : ''}${issue?.message ?? 'not a job request'}`)
}

/** `other` as named in the file `name`: beside it, or from the container's top. */
function resolved(name: string, other: string): string {
  const path = other.startsWith('/')
    ? posix.normalize(other).slice(1)
    : posix.join(posix.dirname(name), other)
  if (path === '' || path.endsWith('/') || path.split('/').includes('..') || path.includes('\\'))
    throw bad(name, `${other} names no blob of the container`)
  return path
}

const bad = (name: string, why: string) => new InputError('bad-trigger', `${name} starts no job: ${why}.`)

import { posix } from 'node:path'
import { z } from 'zod'
import { isPlainName } from '../../shared/blob-name.ts'
import { InputError } from '../../shared/errors.ts'
import { JobFields, JobRequest } from '../../shared/job.ts'
import { layout } from '../../shared/layout.ts'
import { notOfTemplates, triggerSuffix, whatIsWrong } from './rule.ts'
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

/**
 * The request that a trigger file makes; `name` is the file's. Its output goes where whoever brought the file may be: below its
 * own folder, or the same one below `out/`. Throws InputError `bad-trigger` with one sentence.
 */
export function readTriggerFile(
  name: string,
  text: string,
  { urlOf, nameOf }: { urlOf(name: string): string; nameOf(url: string): string | undefined },
): JobRequest {
  const { source, style, output: wanted, ...rest } = parse(name, text)
  const { name: target, ...out } = wanted
  const beside = (other: string) => urlOf(resolved(name, other))
  const urlOfReference = (it: z.infer<typeof Reference>) => ('url' in it ? it.url : beside(it.name))
  const own = name.slice(0, -triggerSuffix.length)
  const video = source ? urlOfReference(source) : urlOf(own)
  const made = JobRequest.safeParse({
    ...rest,
    source: { url: video },
    ...(style && { style: { url: urlOfReference(style) } }),
    output: { ...out, ...(target !== undefined && { url: beside(target) }) },
  })
  if (!made.success) throw bad(name, whatIsWrong(made.error))
  const request = made.data
  const { url } = request.output
  const written = url === undefined ? undefined : nameOf(url)
  if (written === undefined) return request
  const places = outputsOf(name)
  if (!places.some((place) => written.startsWith(place) && written !== place))
    throw bad(name, `its output ${written} is neither below ${places.join(' nor below ')}`)
  if (written === nameOf(video)) throw bad(name, 'its output would be written over its source')
  return request
}

/** Where a trigger file may have its output, in the media container. */
function outputsOf(name: string): string[] {
  const folder = name.slice(0, name.lastIndexOf('/') + 1)
  return [folder, `${layout.triggerOutputs}${folder.slice(layout.arrivals.length)}`]
}

function parse(name: string, text: string): z.infer<typeof TriggerFile> {
  const value = toJson(text)
  if (value === undefined) throw bad(name, 'it is no JSON')
  const read = TriggerFile.safeParse(value)
  if (read.success) return read.data
  throw bad(name, whatIsWrong(read.error))
}

/** `other` as named in the file `name`: beside it, or from the container's top. */
function resolved(name: string, other: string): string {
  const path = other.startsWith('/')
    ? posix.normalize(other).slice(1)
    : posix.join(posix.dirname(name), other)
  if (isPlainName(path)) return path
  throw bad(name, `${other} names no blob of the container`)
}

const bad = (name: string, why: string) => new InputError('bad-trigger', `${name} starts no job: ${why}.`)

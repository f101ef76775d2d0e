import { posix } from 'node:path'
import { z } from 'zod'
import { isPlainName } from '../../shared/blob-name.ts'
import { InputError } from '../../shared/errors.ts'
import { JobFields, JobRequest } from '../../shared/job.ts'
import { layout } from '../../shared/layout.ts'

/** A path in the media container; what makes other names of it, when it becomes a URL, is refused. */
const BlobName = z.string().min(1).max(1_000).refine(isPlainName, 'must be a plain path, such as in/film.mp4')

/** A blob of the media container by its name, or any allowed URL. A rule lies in storage for good: it keeps no SAS. */
const Named = z.union([
  z.strictObject({ name: BlobName.describe('a blob of the media container') }),
  z.strictObject({
    url: z
      .url({ protocol: /^https?$/ })
      .max(4_000)
      .refine((url) => !/[?#]/.test(url), 'must be without a query: a rule keeps no SAS'),
  }),
])

const { output, model } = JobFields.shape

/** What lands is a video, and one model scores it. */
export const notOfTemplates = {
  source: true,
  style: true,
  output: true,
  model: true,
  models: true,
  modelBy: true,
} as const

/** A job request that lacks its source. */
export const JobTemplate = JobFields.omit(notOfTemplates)
  .extend({
    model: model.unwrap(),
    style: Named.optional().describe('for a model that takes a style image: that image'),
    output: output
      .unwrap()
      .omit({ url: true, images: true, scores: true })
      .extend({
        name: BlobName.refine(
          (name) => [...name.matchAll(/\{[^}]*\}?/g)].every(([part]) => placeholders.has(part)),
          'may hold {name}, {dir} and {date}, and no other braces',
        )
          .optional()
          .describe(
            'blob of the media container to write: {name} is that of the source without its ending, {dir} its folder below the prefix, {date} the day it landed; the job keeps its own copy when absent',
          ),
      })
      .default({}),
  })
  .meta({ id: 'JobTemplate' })
export type JobTemplate = z.infer<typeof JobTemplate>

const placeholders = new Set(['{name}', '{dir}', '{date}'])

export const Rule = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]{0,62}$/)
      .describe('what lines and answers call it'),
    prefix: z
      .string()
      .max(500)
      .startsWith(
        layout.arrivals,
        `must begin with ${layout.arrivals}: nothing that lands elsewhere starts a job`,
      )
      .default(layout.arrivals)
      .describe('how names begin that it takes'),
    suffixes: z
      .array(z.string().min(1).max(100))
      .max(50)
      .default([])
      .describe('how they end, in small or capital letters; none takes all'),
    job: JobTemplate.nullable().describe('the job that is started; null starts none'),
  })
  .meta({ id: 'TriggerRule' })
export type Rule = z.infer<typeof Rule>

export const Rules = z
  .strictObject({
    rules: z
      .array(Rule)
      .max(100)
      .refine(
        (rules) => new Set(rules.map(({ name }) => name)).size === rules.length,
        'two have the same name',
      )
      .describe('the first that takes a name counts'),
    triggerFiles: z
      .boolean()
      .default(false)
      .describe(
        'whether a *.trigger.json that lands starts the job in it: of whatever model, source and priority whoever brings it likes',
      ),
  })
  .meta({ id: 'TriggerRules' })
export type Rules = z.infer<typeof Rules>

/** What holds as long as nobody has set rules: a video that lands under `in/` becomes a painting. */
export const defaultRules: Rules = Rules.parse({
  rules: [
    {
      name: 'videos',
      suffixes: [
        '.mp4',
        '.m4v',
        '.mov',
        '.mkv',
        '.webm',
        '.avi',
        '.mpg',
        '.mpeg',
        '.ts',
        '.mts',
        '.m2ts',
        '.mxf',
      ],
      job: { model: 'starry-night' },
    },
  ],
})

/** A blob with this ending is no video: it says which job to start. */
export const isTriggerFile = (name: string): boolean => name.toLowerCase().endsWith(triggerSuffix)
export const triggerSuffix = '.trigger.json'

/** The first rule that takes a blob of that name. */
export function ruleFor(rules: Rules, name: string): Rule | undefined {
  if (isTriggerFile(name)) return undefined
  return rules.rules.find(({ prefix, suffixes }) => name.startsWith(prefix) && endsWithOne(name, suffixes))
}

const endsWithOne = (name: string, suffixes: string[]) =>
  suffixes.length === 0 || suffixes.some((suffix) => name.toLowerCase().endsWith(suffix.toLowerCase()))

type Landed = { name: string; modified: Date }

/**
 * The job of a blob by a rule's template. `urlOf` makes a URL of a blob's name. The same blob gives the same request each
 * time. Throws InputError where its output would be the source itself.
 */
export function requestOf(
  template: JobTemplate,
  { name, modified }: Landed,
  { prefix, urlOf }: { prefix: string; urlOf: (name: string) => string },
): JobRequest {
  const { style, output: wanted, ...rest } = template
  const { name: pattern, ...encoding } = wanted
  const target = pattern && outputName(pattern, { name, modified }, prefix)
  // Whoever brings a video chooses its name, and not where others' outputs go.
  if (target && !isPlainName(target))
    throw new InputError('bad-output', `The output of ${name} can't be called ${target}.`)
  if (target === name)
    throw new InputError('bad-output', `The output would be written over its source, ${name}.`)
  const made = JobRequest.safeParse({
    ...rest,
    source: { url: urlOf(name) },
    ...(style && { style: { url: 'url' in style ? style.url : urlOf(style.name) } }),
    output: { ...encoding, ...(target && { url: urlOf(target) }) },
  })
  if (made.success) return made.data
  throw new InputError('bad-request', `${name} makes no job: ${whatIsWrong(made.error)}.`)
}

/** A name may be a good one, and the URL that it makes too long. */
export function whatIsWrong({ issues: [issue] }: z.ZodError): string {
  const where = issue?.path.join('.')
  return `${where ? `${where}: ` : ''}${issue?.message ?? 'not a job request'}`
}

function outputName(pattern: string, { name, modified }: Landed, prefix: string): string {
  // A prefix may end within a name: only whole folders count.
  const base = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  const below = posix.dirname(name.slice(base.length))
  const values: Record<string, string> = {
    '{name}': posix.parse(name).name,
    '{dir}': below === '.' ? '' : below,
    '{date}': modified.toISOString().slice(0, 10),
  }
  const filled = pattern.replaceAll(/\{\w+\}/g, (part) => values[part] ?? part)
  // Without a folder below the prefix its slash would stand alone.
  return filled.replaceAll(/\/{2,}/g, '/').replace(/^\//, '')
}

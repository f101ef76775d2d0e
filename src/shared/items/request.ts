import { z } from 'zod'
import { isPlainName } from '../blob-name.ts'

/** What a job may be made of besides a video, and what it may become. */

const Prefix = z
  .string()
  .min(1)
  .max(900)
  .refine(
    (prefix) => isPlainName(prefix.replace(/\/$/, '')),
    'must be a path that has no empty part, no backslash, and no . or .. as folders',
  )
const Folder = Prefix.refine((prefix) => prefix.endsWith('/'), 'must end in a slash')
const Column = z.string().min(1).max(200)
const httpUrl = z.url({ protocol: /^https?$/ }).max(4_000)

const maxListed = 1_000
const mostColumns = 10_000
const Instant = z.iso.datetime({ offset: true })

export const ImagesSource = z
  .strictObject({
    prefix: Prefix.optional().describe('every image of the media container whose name begins so'),
    list: z.array(httpUrl).min(1).max(maxListed).optional().describe('the images themselves'),
    manifest: httpUrl
      .optional()
      .describe(
        'an NDJSON file with a line an image: { key, url } or { key, name }, a blob of the media container',
      ),
  })
  .refine(
    ({ prefix, list, manifest }) => [prefix, list, manifest].filter((it) => it !== undefined).length === 1,
    'give one of prefix, list and manifest',
  )
export type ImagesSource = z.infer<typeof ImagesSource>

export const ColumnType = z.enum(['number', 'integer', 'text', 'boolean', 'time'])
export const TableSource = z
  .strictObject({
    url: httpUrl.optional().describe('one file'),
    prefix: Prefix.optional().describe(
      'every file of the media container whose name begins so, in order of names',
    ),
    format: z.enum(['csv', 'ndjson']).describe('gzip is seen by its first bytes'),
    delimiter: z
      .string()
      .regex(/^[^"\r\n]$/, 'must be one character, and no quote')
      .optional()
      .describe('between the columns of CSV; a comma when absent'),
    columns: z
      .record(Column, ColumnType)
      .refine((columns) => Object.keys(columns).length <= mostColumns, `must name ${mostColumns} at most`)
      .optional()
      .describe('their types; else features are numbers, and others text in CSV, or as they stand in NDJSON'),
    key: z.array(Column).min(1).max(16).describe('columns that name a row'),
    features: z.array(Column).min(1).max(4_096).describe('columns that the model is given, in its order'),
    partitionBy: z.array(Column).min(1).max(8).optional().describe('columns whose values tell a partition'),
    time: Column.optional().describe('the column that says when'),
    from: Instant.optional().describe('rows before this time are left out'),
    to: Instant.optional().describe('rows of this time and later are left out'),
  })
  .refine(({ url, prefix }) => (url === undefined) !== (prefix === undefined), 'give either url or prefix')
  .refine(({ time, from, to }) => time !== undefined || (from ?? to) === undefined, {
    path: ['time'],
    error: 'from and to need the column that says when',
  })
  .refine(({ from, to }) => from === undefined || to === undefined || Date.parse(from) < Date.parse(to), {
    path: ['to'],
    error: 'must be later than from',
  })
export type TableSource = z.infer<typeof TableSource>

export const imageFormats = ['png', 'jpeg', 'webp', 'tiff', 'avif'] as const
export type ImageFormat = (typeof imageFormats)[number]

/** What files of a format are called; the first is what is put behind a name. */
export const extensionsOf: Record<ImageFormat, [string, ...string[]]> = {
  png: ['png'],
  jpeg: ['jpg', 'jpeg'],
  webp: ['webp'],
  tiff: ['tif', 'tiff'],
  avif: ['avif'],
}

export const ImagesOutput = z.strictObject({
  prefix: Folder.optional().describe(
    'where to write, in the media container, with a slash at its end; below the job when absent',
  ),
  format: z.enum(imageFormats).optional().describe('that of each source when absent'),
  quality: z.number().int().min(1).max(100).optional().describe('of jpeg, webp and avif'),
})
export type ImagesOutput = z.infer<typeof ImagesOutput>

export const ScoresOutput = z.strictObject({
  url: httpUrl.optional().describe('where to write; the job keeps its own copy when absent'),
  format: z.enum(['ndjson', 'csv']).default('ndjson'),
  append: z
    .enum(['row', 'summary'])
    .optional()
    .describe('a row for each item, which is the default, or counts only'),
  top: z.number().int().min(1).max(1_000).optional().describe('classes of each item; 5 when absent'),
  threshold: z.number().min(0).max(1).optional().describe('least score of a detection; 0.5 when absent'),
  columns: z
    .array(Column)
    .max(mostColumns)
    .optional()
    .describe(
      'columns of a table that go along, before what the model says; those that the source names when absent',
    ),
  rename: z
    .record(Column, Column)
    .refine((names) => Object.keys(names).length <= mostColumns, `must name ${mostColumns} at most`)
    .optional()
    .describe('other names for columns of the result, the model’s own among them: { score: "Prediction" }'),
})
export type ScoresOutput = z.infer<typeof ScoresOutput>

/**
 * `{column}` stands for the partition's value of it, in small letters, with one hyphen for whatever is neither a letter of a to z
 * nor a digit.
 */
export const ModelBy = z.strictObject({
  pattern: z
    .string()
    .max(200)
    .regex(/^(?:[a-z0-9-]|\{[^{}]+\})+(?:@[A-Za-z0-9._-]{1,32})?$/, 'must be a name with {columns} in it'),
})

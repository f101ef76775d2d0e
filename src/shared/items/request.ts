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
    columns: z
      .record(Column, ColumnType)
      .optional()
      .describe('their types; else numbers where they are features, text'),
    key: z.array(Column).min(1).max(16).describe('columns that name a row'),
    features: z.array(Column).min(1).max(4_096).describe('columns that the model is given, in its order'),
    partitionBy: z.array(Column).min(1).max(8).optional().describe('columns whose values tell a partition'),
    time: Column.optional().describe('the column that says when'),
  })
  .refine(({ url, prefix }) => (url === undefined) !== (prefix === undefined), 'give either url or prefix')
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
})
export type ScoresOutput = z.infer<typeof ScoresOutput>

/** `{column}` stands for the partition's value of it. */
export const ModelBy = z.strictObject({
  pattern: z
    .string()
    .max(200)
    .regex(/^(?:[a-z0-9-]|\{[^{}]+\})+(?:@[A-Za-z0-9._-]{1,32})?$/, 'must be a name with {columns} in it'),
})

import { z } from 'zod'

/**
 * One pipeline for everything that is no video:
 *
 *   ItemSource ──► items, cut into batches by the split ──► ItemScorer of a worker ──► a part a batch ──► ItemSink
 *
 * An item is one image, or one row of a table. Its key names it in whatever becomes of it, and is its own within the job.
 */
const Scalar = z.union([z.string(), z.number(), z.boolean(), z.null()])
export const Row = z.record(z.string(), Scalar)
export type Row = z.infer<typeof Row>

export const Item = z.object({
  key: z.string().min(1).max(1_024),
  /** An image: a blob of the media container, read with the role's own identity ... */
  name: z.string().optional(),
  /** ... or any other allowed URL, without its query: that lies with the job's secrets while it runs. */
  url: z.string().optional(),
  /** Whether that came with a SAS, without which it is not to be read. */
  signed: z.boolean().optional(),
  /** A row of a table: what the model is given, and what goes along to the result, in the order in which it is to come out. */
  row: Row.optional(),
  /** What the source saw to be wrong with it: it fails by that, and no model is given it. */
  error: z.object({ code: z.string(), message: z.string() }).optional(),
})
export type Item = z.infer<typeof Item>

/** What a source yields. `query`: the SAS of its URL, with its `?`. `group`: a number from 0, of those the source tells of. */
export type SourceItem = Item & { query?: string; group?: number }

/** Items of one partition, or for one model. Nothing is said where there is only one of each; where a partition has no model, each of its items says so. */
export const ItemGroup = z.object({
  model: z.object({ name: z.string(), version: z.string(), sha256: z.string() }).optional(),
  partition: z.record(z.string(), z.string()).optional(),
})
export type ItemGroup = z.infer<typeof ItemGroup>

/** Yields a job's items, in the same order each time; reads as it goes and holds little. Throws InputError for bad input. */
export type ItemSource = {
  items(signal: AbortSignal): AsyncIterable<SourceItem>
  /** The groups that its items name by number; asked once all items were read. */
  groups?(): ItemGroup[]
  /** The columns of its rows that go along, in order, where a row can't keep that itself; asked once all items were read. */
  columns?(): string[] | undefined
  /** What is worth saying in the report; asked once all items were read. */
  warnings?(): string[]
  /** Whether having no items is a result like any other: nothing was measured that hour. */
  mayBeEmpty?: boolean
}

const Json = z.json()

/** What became of an item: a line of `jobs/<id>/segments/parts/000123.ndjson`. Values become columns, in their order. */
export const PartLine = z.union([
  z.object({ key: z.string(), value: z.record(z.string(), Json) }),
  z.object({ key: z.string(), error: z.object({ code: z.string(), message: z.string() }) }),
])
export type PartLine = z.infer<typeof PartLine>

/** Takes what became of a job's items, in order, each with the number of its batch; at the end it has published all of it. */
export type ItemSink = {
  write(line: PartLine, batch: number): Promise<void>
  /** Where the result is, its bytes, and its digest in hex. */
  end(): Promise<{ url: string; bytes: number; sha256: string }>
}

const longestKey = 500

/** Whether a key can name an image's blob: folders of these names would lead elsewhere. */
export const namesImage = (key: string): boolean =>
  key.length <= longestKey && !/(^|\/)\.{0,2}(\/|$)/.test(key) && !/[\p{Cc}\\]/u.test(key)

/** What files are called that hold images; others under a prefix are no items. */
export const imageName = /\.(?:jpe?g|png|webp|tiff?|avif|heif|heic|gif)$/i

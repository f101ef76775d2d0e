import { z } from 'zod'
import type { JobSpec } from '../job.ts'
import { ItemGroup } from './item.ts'

/**
 * `plan.json` of a job that is no video: made once by the split. An item counts as a frame wherever work is counted, so that
 * claims, progress, fair shares and the fleet's size are reckoned by the same means.
 */
export const ItemsPlan = z.object({
  v: z.literal(1),
  kind: z.literal('items'),
  jobId: z.string(),
  /** Of all batches: an item counts once for each model that is to score it. */
  frames: z.number().int().nonnegative(),
  /** Items in each batch, in order; none where a table had no rows. */
  batches: z.array(z.number().int().positive()),
  /** The folder under `jobs/<id>/items/` that has them, a file a batch; another split of the same job has another. */
  folder: z.string().regex(/^[a-z0-9-]{1,40}$/),
  groups: z.array(ItemGroup).max(20_000).default([]),
  /** The group of each batch; empty where there is one at most. */
  groupOf: z.array(z.number().int().nonnegative()).default([]),
  /** The number of the file that has a batch's items, where that is not the batch's own. */
  fileOf: z.array(z.number().int().nonnegative()).optional(),
  /** The columns of a table that go along to CSV, in order, where the request does not name them: in an object names that are numbers come first. */
  columns: z.array(z.string()).optional(),
  /** As workers measure rows, `FEATURESx1`; nothing is known of images before they are opened. */
  size: z
    .string()
    .regex(/^\d+x1$/)
    .optional(),
  /** Whether items came with a SAS, which lies apart. */
  hasQueries: z.boolean().default(false),
  warnings: z.array(z.string()),
})
export type ItemsPlan = z.infer<typeof ItemsPlan>

export const isItemsPlan = (plan: object): plan is ItemsPlan => 'kind' in plan && plan.kind === 'items'

/** What the pace of rows is told by, as that of frames is by their width and height. */
export const sizeOfRows = (features: number): string => `${features}x1`

/** The number of the file that has a batch's items. */
export const fileOf = ({ fileOf: numbers }: ItemsPlan, batch: number): number => numbers?.[batch] ?? batch

/** What a model is called in a job's result: its name, and its version as well where the job has two of one name. */
export function nameInResult(
  { models = [] }: Pick<JobSpec, 'models'>,
  { name, version }: JobSpec['model'],
): string {
  return models.filter((each) => each.name === name).length > 1 ? `${name}@${version}` : name
}

/** By what the pace of a batch is known: its model; those of partitions are alike and many, and go by their pattern together. */
export const pacedBy = (
  { request: { modelBy } }: Pick<JobSpec, 'request'>,
  { name, version }: JobSpec['model'],
): string => modelBy?.pattern ?? `${name}@${version}`

/** The model and the partition of a batch. */
export function groupOf(
  spec: Pick<JobSpec, 'model'>,
  { groups, groupOf: numbers }: ItemsPlan,
  batch: number,
) {
  const group = groups[numbers[batch] ?? 0]
  return { model: group?.model ?? spec.model, partition: group?.partition }
}

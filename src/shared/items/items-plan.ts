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
  /** Of all batches. */
  frames: z.number().int().positive(),
  /** Items in each batch, in order. */
  batches: z.array(z.number().int().positive()),
  /** The folder under `jobs/<id>/items/` that has them, a file a batch; another split of the same job has another. */
  folder: z.string().regex(/^[a-z0-9-]{1,40}$/),
  groups: z.array(ItemGroup).max(10_000).default([]),
  /** The group of each batch; empty where there is one at most. */
  groupOf: z.array(z.number().int().nonnegative()).default([]),
  /** Whether items came with a SAS, which lies apart. */
  hasQueries: z.boolean().default(false),
  warnings: z.array(z.string()),
})
export type ItemsPlan = z.infer<typeof ItemsPlan>

export const isItemsPlan = (plan: object): plan is ItemsPlan => 'kind' in plan && plan.kind === 'items'

/** The model and the partition of a batch. */
export function groupOf(
  spec: Pick<JobSpec, 'model'>,
  { groups, groupOf: numbers }: ItemsPlan,
  batch: number,
) {
  const group = groups[numbers[batch] ?? 0]
  return { model: group?.model ?? spec.model, partition: group?.partition }
}

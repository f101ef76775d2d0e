import { z } from 'zod'

/**
 * What Event Grid sends of a storage account, in its own schema or as CloudEvents 1.0. Of all it says only the blob's name is
 * used, and not its version: what is there now is looked up, so that events may come twice, late and in any order.
 */
const Event = z.looseObject({
  /** Event Grid's own schema. */
  eventType: z.string().max(200).optional(),
  /** CloudEvents. */
  specversion: z.literal('1.0').optional(),
  type: z.string().max(200).optional(),
  id: z.string().max(200).optional(),
  subject: z.string().max(4_000).optional(),
  data: z.looseObject({}).optional(),
})

const BlobCreated = z.object({
  subject: z.string(),
  data: z.object({
    api: z.string().max(100),
    url: z.url().max(4_000),
  }),
})

export type BlobEvent =
  /** A blob that was written whole. `names` are what its name may be: how it is escaped is not said anywhere. */
  | { kind: 'blob'; names: string[]; url: string }
  | { kind: 'validation'; code: string }
  | { kind: 'other'; why: string }

/** What wrote a blob that is whole with it: others, such as CreateFile, write one that is still empty. */
const wholeWrites = new Set(['PutBlob', 'PutBlockList', 'CopyBlob', 'FlushWithClose', 'SftpCommit'])

const created = 'Microsoft.Storage.BlobCreated'
const validation = 'Microsoft.EventGrid.SubscriptionValidationEvent'

/** One or many events of a parsed body; undefined where it is something else. */
export function readEvents(body: unknown): BlobEvent[] | undefined {
  const events = (Array.isArray(body) ? body : [body]).map(readEvent)
  return events.every((event) => event !== undefined) && events.length > 0 ? events : undefined
}

function readEvent(value: unknown): BlobEvent | undefined {
  const event = Event.safeParse(value)
  if (!event.success) return undefined
  const type = event.data.eventType ?? (event.data.specversion && event.data.type)
  if (type === validation) {
    const code = event.data.data?.['validationCode']
    return typeof code === 'string' && code.length <= 200 ? { kind: 'validation', code } : undefined
  }
  if (type === undefined) return undefined
  if (type !== created) return { kind: 'other', why: `it is a ${type}` }
  const blob = BlobCreated.safeParse(value)
  if (!blob.success) return undefined
  const { api, url } = blob.data.data
  if (!wholeWrites.has(api)) return { kind: 'other', why: `${api} writes no whole blob` }
  const named = /^\/blobServices\/default\/containers\/[^/]+\/blobs\/(.+)$/.exec(blob.data.subject)?.[1]
  return { kind: 'blob', names: named === undefined ? [] : [named], url }
}

/** The names that the blob of an event may have in a container; none where it is another one's. */
export function namesIn(
  { names, url }: Extract<BlobEvent, { kind: 'blob' }>,
  nameOf: (url: string) => string | undefined,
): string[] {
  // What is written by the other protocol of an account is named by its other address.
  const byBlob = url.replace(/^(https:\/\/[a-z0-9.-]+)\.dfs\./, '$1.blob.')
  const own = nameOf(byBlob)
  // The container's name stands in the URL as well, so that alone says whose it is.
  return own === undefined ? [] : [...new Set([...names, own])]
}

import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { checkOwnName, isListed, isPlainName } from '../../shared/blob-name.ts'
import { InputError } from '../../shared/errors.ts'
import { type ItemSource, type SourceItem, imageName, namesImage } from '../../shared/items/item.ts'
import type { ImagesSource } from '../../shared/items/request.ts'
import type { JobSecret, JobSpec } from '../../shared/job.ts'
import { publicUrl } from '../../shared/redact.ts'
import { checkUrl } from '../source-policy.ts'
import { createKeeper } from '../written-over.ts'
import { numberedLines } from './ndjson-file.ts'
import type { SourceDeps } from './open-source.ts'
import { createSeenKeys } from '../../shared/items/seen-keys.ts'

type Job = { spec: JobSpec; secret: JobSecret; dir: string; signal: AbortSignal; images: ImagesSource }

export const maxItems = 2_000_000
const longestLine = 16 << 10

/**
 * Images as items. Keys: under a prefix, what a name has behind it; of a list, the file's name, with its number before it where
 * another one is called the same; of a manifest, as it says. An image whose name can be no key is an item that says so.
 */
export function imagesSource(deps: SourceDeps, job: Job): ItemSource {
  const { prefix, list } = job.images
  if (prefix !== undefined) return { items: (signal) => underPrefix(deps, prefix, signal) }
  if (list) return { items: () => listed(deps, list, job.secret) }
  return { items: () => inManifest(deps, job) }
}

async function* underPrefix(
  { media }: SourceDeps,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<SourceItem> {
  // Whole folders are left out of keys, not a part of a name.
  const base = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  for await (const { name } of media.list(prefix)) {
    // Of millions of others none may be an image.
    signal.throwIfAborted()
    if (imageName.test(name) && isListed(name, prefix)) yield named(name.slice(base.length), { name })
  }
}

async function* listed(
  { media }: SourceDeps,
  list: string[],
  { itemQueries = [] }: JobSecret,
): AsyncGenerator<SourceItem> {
  const files = list.map((url) => {
    const path = new URL(url).pathname
    return decodeURIComponent(path.slice(path.lastIndexOf('/') + 1)) || 'image'
  })
  const alike = Map.groupBy(files, (file) => file)
  const taken = new Set<string>()
  for (const [i, url] of list.entries()) {
    const file = files[i] ?? ''
    let key = (alike.get(file)?.length ?? 0) > 1 ? `${i}-${file}` : file
    // With its number before it, it may be called as another one is.
    while (taken.has(key)) key = `${i}-${key}`
    taken.add(key)
    const query = itemQueries[i] ?? ''
    const own = query === '' ? media.nameOf(url) : undefined
    yield named(key, own === undefined ? byUrl(url, query) : { name: own })
  }
}

const byUrl = (url: string, query: string) => ({
  ...{ url: publicUrl(url), query },
  ...(query === '' ? {} : { signed: true }),
})

/** The item of that key, or one that says why it can have none. */
function named(key: string, image: Omit<SourceItem, 'key'>): SourceItem {
  if (namesImage(key)) return { key, ...image }
  const { code, message } = badKey(key)
  return { key: key.replaceAll(/\p{Cc}/gu, '?').slice(0, 1_000), error: { code, message } }
}

const pathOf = (url: string) => decodeURIComponent(new URL(url).pathname).replace(/^\/+/, '')

const Line = z
  .object({
    key: z.string().optional(),
    url: z
      .url({ protocol: /^https?$/ })
      .max(4_000)
      .optional(),
    name: z.string().min(1).max(1_024).optional(),
  })
  .refine(({ url, name }) => (url === undefined) !== (name === undefined), 'give either url or name')

async function* inManifest({ media, sources, policy }: SourceDeps, job: Job): AsyncGenerator<SourceItem> {
  const path = join(job.dir, 'manifest')
  await sources.open(job.spec.source, job.secret.sourceQuery, path, job.signal)
  const { keepUrl, keepName } = createKeeper(media, job.spec.request.output)
  const seen = createSeenKeys()
  for await (const { line: number, text } of numberedLines(createReadStream(path))) {
    job.signal.throwIfAborted()
    if (text?.trim() === '') continue
    const { key, url, name } = readLine(text, number)
    if (url !== undefined) checkUrl(url, 'read', { media, policy })
    else checkName(name ?? '', number)
    const query = url === undefined ? '' : new URL(url).search
    const ownName = name ?? (query === '' ? media.nameOf(url ?? '') : undefined)
    if (ownName === undefined) keepUrl(url ?? '')
    else keepName(ownName)
    const own = key ?? ownName ?? pathOf(url ?? '')
    if (!namesImage(own)) throw badKey(own, number)
    if (!seen.add(own)) throw bad(number, `the key ${own} is there already`)
    yield { key: own, ...(ownName === undefined ? byUrl(url ?? '', query) : { name: ownName }) }
  }
}

function readLine(text: string | undefined, number: number): z.infer<typeof Line> {
  if (text === undefined || text.length > longestLine)
    throw bad(number, `it is longer than ${longestLine} characters`)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw bad(number, 'it is no JSON')
  }
  const read = Line.safeParse(json)
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw bad(number, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not an image'}`.replace(/^: /, ''))
}

function checkName(name: string, line: number): void {
  if (!isPlainName(name)) throw bad(line, `${JSON.stringify(name.slice(0, 200))} is no name of a blob`)
  checkOwnName(name, 'read')
}

const bad = (line: number, why: string) =>
  new InputError('bad-manifest', `The manifest, line ${line}: ${why}.`)

/** Keys become names of blobs, in which folders of these names would lead elsewhere. */
const badKey = (key: string, line?: number) =>
  new InputError(
    'bad-key',
    `${line === undefined ? 'The' : `The manifest, line ${line}: the`} key ${key.slice(0, 100)} can't name an image: 500 characters at most, no empty folders, no . or .. as folders.`,
  )

import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { checkOwnName, isOwnName, isPlainName } from '../../shared/blob-name.ts'
import { InputError } from '../../shared/errors.ts'
import { type ItemSource, type SourceItem, imageName, namesImage } from '../../shared/items/item.ts'
import type { ImagesSource } from '../../shared/items/request.ts'
import type { JobSecret, JobSpec } from '../../shared/job.ts'
import { publicUrl } from '../../shared/redact.ts'
import { checkUrl } from '../source-policy.ts'
import type { SourceDeps } from './open-source.ts'

type Job = { spec: JobSpec; secret: JobSecret; dir: string; signal: AbortSignal; images: ImagesSource }

export const maxItems = 2_000_000
const longestLine = 16 << 10

/**
 * Images as items. Keys: under a prefix, what a name has behind it; of a list, the file's name, with its number before it where
 * another one is called the same; of a manifest, as it says.
 */
export function imagesSource(deps: SourceDeps, job: Job): ItemSource {
  const { prefix, list } = job.images
  if (prefix !== undefined) return { items: () => underPrefix(deps, prefix) }
  if (list) return { items: () => listed(deps, list, job.secret) }
  return { items: () => inManifest(deps, job) }
}

async function* underPrefix({ media }: SourceDeps, prefix: string): AsyncGenerator<SourceItem> {
  // Whole folders are left out of keys, not a part of a name.
  const base = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  for await (const { name } of media.list(prefix)) {
    const key = name.slice(base.length)
    if (imageName.test(name) && !isOwnName(name, 'read')) yield { key: goodKey(key, name), name }
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
  const seen = Map.groupBy(files, (file) => file)
  for (const [i, url] of list.entries()) {
    const file = files[i] ?? ''
    const key = goodKey((seen.get(file)?.length ?? 0) > 1 ? `${i}-${file}` : file, url)
    const query = itemQueries[i] ?? ''
    const own = query === '' ? media.nameOf(url) : undefined
    yield own === undefined ? { key, url, query } : { key, name: own }
  }
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
  const seen = new Set<string>()
  let number = 0
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    number += 1
    if (text.trim() === '') continue
    const { key, url, name } = readLine(text, number)
    if (url !== undefined) checkUrl(url, 'read', { media, policy })
    else checkName(name ?? '', number)
    const query = url === undefined ? '' : new URL(url).search
    const ownName = name ?? (query === '' ? media.nameOf(url ?? '') : undefined)
    const own = goodKey(key ?? ownName ?? pathOf(url ?? ''), `line ${number}`)
    if (seen.has(own)) throw bad(number, `the key ${own} is there already`)
    seen.add(own)
    yield ownName === undefined ? { key: own, url: publicUrl(url ?? ''), query } : { key: own, name: ownName }
  }
}

function readLine(text: string, number: number): z.infer<typeof Line> {
  if (text.length > longestLine) throw bad(number, `it is longer than ${longestLine} characters`)
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
function goodKey(key: string, where: string): string {
  if (namesImage(key)) return key
  const short = key.slice(0, 100)
  throw new InputError(
    'bad-key',
    `The key ${short} (${where.slice(0, 200)}) can't name an image: 500 characters at most, no empty folders, no . or .. as folders.`,
  )
}

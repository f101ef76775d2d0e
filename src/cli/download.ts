import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Client, Job } from '../client/client.ts'
import { InputError } from '../shared/errors.ts'

/**
 * Fetches the finished video of a job, or its scores, into `out`, or else into this folder by a name of its own, but never over a
 * file that is there. Answers the path. Throws InputError for a job that makes images: they are many.
 */
export async function fetchOutput(
  api: Client,
  id: string,
  out: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const job = await api.job(id, { signal })
  if (job.makes === 'images')
    throw new InputError(
      'no-file',
      `The job makes images: look under ${job.output ?? 'its folder, once it is done'}.`,
    )
  const path = out ?? nameFor(job)
  if (out === undefined && (await stat(path).catch(() => undefined)))
    throw new InputError('file-exists', `There is a file ${path} already: say where to by --out.`)
  await saveDownload(await api.download(id, 'output', { signal }), path, signal)
  return path
}

/** The name as ours, without what leads elsewhere: what a source is called others said. */
function nameFor({ source, output, makes }: Pick<Job, 'source' | 'output' | 'makes'>): string {
  const stem = lastOf(source).replace(/\.[^.]*$/, '') || 'video'
  return `${stem}.scored${/\.\w+$/.exec(lastOf(output ?? ''))?.[0] ?? (makes === 'video' ? '.mp4' : '.ndjson')}`
}

/** The last part of a URL's path as people read it; no name leads into another folder, or hides. */
export function lastOf(url: string): string {
  const last = (URL.parse(url)?.pathname ?? url).split('/').at(-1) ?? ''
  return decoded(last)
    .replaceAll(/[/\\\p{Cc}]/gu, '-')
    .replace(/^[.-]+/, '')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Writes all of it, or nothing: what is half there lies under another name until it is whole. */
export async function saveDownload(
  bytes: ReadableStream<Uint8Array>,
  path: string,
  signal?: AbortSignal,
): Promise<void> {
  const part = `${path}.${randomUUID().slice(0, 8)}.part`
  try {
    await pipeline(Readable.fromWeb(bytes as never), createWriteStream(part), { signal })
    await rename(part, path)
  } finally {
    await rm(part, { force: true })
  }
}

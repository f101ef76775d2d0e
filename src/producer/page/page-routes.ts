import { createHash } from 'node:crypto'
import { readFile, readdir } from 'node:fs/promises'
import { extname } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress } from 'node:zlib'
import type { FastifyInstance } from 'fastify'

const folder = new URL('static/', import.meta.url)
const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

type PageFile = { type: string; etag: string; plain: Buffer; small: Buffer }

/**
 * The page for people, at `/`: a few files that are read once and kept. They hold no secret and so need no token; what they
 * show, they ask of the API. `storageOrigins`: where uploads go to and videos come from.
 */
export async function addPageRoutes(app: FastifyInstance, storageOrigins: string[]): Promise<void> {
  const files = await readFiles()
  const storage = storageOrigins.join(' ')
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    `img-src 'self' blob: ${storage}`,
    `media-src 'self' blob: ${storage}`,
    `connect-src 'self' ${storage}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')

  const serve = (path: string, file: PageFile) =>
    app.get(path, { schema: { hide: true }, config: { role: 'open' } }, async (request, reply) => {
      void reply
        .header('etag', file.etag)
        .header('cache-control', 'no-cache')
        .header('vary', 'accept-encoding')
        .header('referrer-policy', 'no-referrer')
        .header('content-security-policy', policy)
      if (request.headers['if-none-match'] === file.etag) return await reply.code(304).send()
      void reply.type(file.type)
      const takesBrotli = /\bbr\b/.test(request.headers['accept-encoding'] ?? '')
      if (!takesBrotli) return await reply.send(file.plain)
      return await reply.header('content-encoding', 'br').send(file.small)
    })
  for (const [name, file] of files) serve(name === 'index.html' ? '/' : `/page/${name}`, file)
}

async function readFiles(): Promise<Map<string, PageFile>> {
  const names = (await readdir(folder)).filter((name) => types[extname(name)] !== undefined)
  const read = names.map(async (name) => {
    const plain = await readFile(new URL(name, folder))
    const small = await promisify(brotliCompress)(plain)
    const etag = `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`
    return [name, { type: types[extname(name)] ?? '', etag, plain, small }] as const
  })
  return new Map(await Promise.all(read))
}

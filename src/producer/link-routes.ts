import { createHash, randomBytes } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError } from '../shared/errors.ts'
import type { JobFiles } from '../shared/job-files.ts'
import { kindOf } from '../shared/job-kind.ts'
import { JobId } from '../shared/job.ts'
import { layout } from '../shared/layout.ts'
import type { Links } from '../shared/links.ts'
import { type MadeImage, firstImages } from './made-images.ts'
import { Problem } from './problem.ts'

export type LinkRoutesDeps = {
  files: Pick<JobFiles, 'findSpec' | 'readReport'>
  media: Pick<BlobStore, 'url' | 'nameOf' | 'head' | 'list'>
  links: Links
}

const Link = z
  .object({ url: z.string().describe('opens it without a token until then'), expires: z.iso.datetime() })
  .meta({ id: 'Link' })
const JobLinks = z
  .object({
    source: Link.optional().describe('where it is a blob of the media account, once it is known for a video'),
    output: Link.optional().describe('once there is one'),
    preview: Link.optional(),
    report: Link.optional(),
    images: z
      .array(Link.extend({ name: z.string().describe('what it is called where the job wants it') }))
      .optional()
      .describe('the first few of the images it made'),
  })
  .meta({ id: 'JobLinks' })
const UploadRequest = z
  .union([
    z.strictObject({ name: z.string().min(1).max(1_000).describe("the file's name") }),
    z.strictObject({
      source: z.url().max(4_000).describe('of an upload that is not done, to go on with it by a new link'),
    }),
  ])
  .meta({ id: 'UploadRequest' })
const Upload = z
  .object({
    url: z.string().describe('put blocks here, then their list: it needs no token'),
    source: z.string().describe('what a job calls it'),
    expires: z.iso.datetime().describe('when the url ends; ask for another one with this source'),
  })
  .meta({ id: 'Upload' })
const errors = { 401: Problem, 403: Problem, 422: Problem }
const tags = ['jobs']

/** Links to storage for people and programs that have no identity there: to fetch what a job made, and to bring a video. */
export function addLinkRoutes(root: FastifyInstance, { files, media, links }: LinkRoutesDeps): void {
  const app = root.withTypeProvider<ZodTypeProvider>()

  app.post(
    '/v1/uploads',
    {
      config: { role: 'Job.Submit' },
      schema: {
        tags,
        summary: 'Bring a video',
        description:
          'Answers where to put it. An upload is whole once its list of blocks is put, and starts nothing by itself: submit a job with its source.',
        body: UploadRequest,
        response: { 201: Upload, 400: Problem, 409: Problem, ...errors },
      },
    },
    async ({ body, client }, reply) => {
      const name = 'name' in body ? newUpload(client, body.name) : await openUpload(client, body.source)
      const { url, expires } = await links.write(name)
      const answer = { url, source: media.url(name), expires: expires.toISOString() }
      return await reply.code(201).header('cache-control', 'no-store').send(answer)
    },
  )

  app.get(
    '/v1/jobs/:id/links',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'Links to what a job reads and made',
        description: 'For players, downloads and other people: each opens one thing for an hour at most.',
        params: z.object({ id: JobId }),
        response: { 200: JobLinks, 400: Problem, 404: Problem, ...errors },
      },
    },
    async ({ params: { id } }, reply) => {
      const { names, images } = await namesOf(id)
      const linkTo = async (name: string, fileName: string) => {
        const { url, expires } = await links.read(name, { fileName })
        return { url, expires: expires.toISOString() }
      }
      const made = await Promise.all(
        Object.entries(names).map(
          async ([what, { name, fileName }]) => [what, await linkTo(name, fileName)] as const,
        ),
      )
      const shown = await Promise.all(
        images.map(async ({ blob, name }) => ({ ...(await linkTo(blob, lastOf(name))), name })),
      )
      return await reply
        .header('cache-control', 'no-store')
        .send({ ...Object.fromEntries(made), ...(shown.length > 0 ? { images: shown } : {}) })
    },
  )

  /** The blobs there are of a job, and what a browser is to call them. */
  async function namesOf(
    id: string,
  ): Promise<{ names: Record<string, { name: string; fileName: string }>; images: MadeImage[] }> {
    const [spec, report] = await Promise.all([files.findSpec(id), files.readReport(id)])
    if (!spec) throw new InputError('job-unknown', `There is no job ${id}.`)
    // A source that came with a SAS is read by that alone: whoever sees the job may not see what it opened.
    const named = spec.source.kind === 'own' ? media.nameOf(spec.source.url) : undefined
    // Only what is a video: a plan says that. Whoever names another file as a source does not read it by that.
    const isVideo = spec.request.source.url !== undefined
    const source = named !== undefined && isVideo && (await media.head(layout.plan(id))) ? named : undefined
    const fileName = lastOf(named ?? '') || id
    const stem = fileName.replace(/\.[^.]*$/, '')
    const scores = report?.items?.format === 'images' ? undefined : report?.items?.format
    const container = report?.status === 'succeeded' ? (report.encoding?.container ?? scores) : undefined
    const preview = container && (await media.head(layout.preview(id))) ? layout.preview(id) : undefined
    const names = {
      ...(source !== undefined && { source: { name: source, fileName } }),
      ...(container && {
        output: { name: layout.output(id, container), fileName: `${stem}.scored.${container}` },
      }),
      ...(preview !== undefined && { preview: { name: preview, fileName: `${stem}.preview.jpg` } }),
      ...(report && { report: { name: layout.report(id), fileName: `${stem}.report.json` } }),
    }
    const isDone = report?.status === 'succeeded' && kindOf(spec).makes === 'images'
    return { names, images: isDone ? await firstImages(media, spec) : [] }
  }

  /** An upload that this caller began, and that is not there yet: what is there is never written again. */
  async function openUpload(client: string, source: string): Promise<string> {
    const name = media.nameOf(source)
    if (
      name === undefined ||
      !name.startsWith(layout.uploads) ||
      !folderOf(name).startsWith(ownerOf(client))
    ) {
      throw new InputError('upload-unknown', 'This is no upload of yours; begin one with its name.')
    }
    if (await media.head(name)) {
      throw new InputError('upload-done', 'This upload is done: submit a job with it.')
    }
    return name
  }
}

/** Nobody else can name it, nor is it there yet. */
function newUpload(client: string, given: string): string {
  const day = new Date().toISOString().slice(0, 10)
  const id = `${ownerOf(client)}-${randomBytes(8).toString('hex')}`
  return layout.upload(`${day}/${id}/${safeName(given)}`)
}

const lastOf = (name: string) => name.split('/').at(-1) ?? ''

const ownerOf = (client: string) => createHash('sha256').update(client).digest('hex').slice(0, 12)
const folderOf = (name: string) => name.split('/')[2] ?? ''

/** A file's name as a blob's: without folders, and without what URLs or file systems read otherwise; 120 characters at most. */
export function safeName(given: string): string {
  const last = given.normalize('NFC').split(/[/\\]/).at(-1) ?? ''
  const clean = last
    .replaceAll(/[^\p{L}\p{M}\p{N}._-]+/gu, '-')
    .replace(/^[.-]+/, '')
    .replace(/[.]+$/, '')
  const [, stem = '', extension = ''] = /^(.*?)(\.[^.]{1,10})?$/u.exec(clean) ?? []
  // By characters: half of one is no text.
  return `${/^.{0,100}/u.exec(stem)?.[0] || 'video'}${extension}`
}

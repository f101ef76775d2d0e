import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { ModelManifest } from '../shared/models/manifest.ts'
import type { ModelStore } from '../shared/models/model-store.ts'
import { Problem } from './problem.ts'

const tags = ['models']
const ref = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}(?:@[A-Za-z0-9._-]{1,32})?$/)

/** `/v1/models`: what a job may name, and what it does. */
export function addModelRoutes(
  root: FastifyInstance,
  models: Pick<ModelStore, 'list' | 'resolve' | 'picture'>,
): void {
  const app = root.withTypeProvider<ZodTypeProvider>()

  app.get(
    '/v1/models',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'The models a job may name',
        response: { 200: z.object({ models: z.array(ModelManifest) }), 401: Problem },
      },
    },
    async () => ({ models: await models.list() }),
  )

  app.get(
    '/v1/models/:name/picture',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'What a model does, as a small JPEG',
        description: 'Name, or name@version. Nothing (204) where nobody drew it.',
        params: z.object({ name: ref.describe('name, or name@version') }),
      },
    },
    async (request, reply) => {
      const picture = await models.picture(await models.resolve(request.params.name))
      if (!picture) return await reply.code(204).send()
      return await reply.type('image/jpeg').header('cache-control', 'private, max-age=3600').send(picture)
    },
  )
}

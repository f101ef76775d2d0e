import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import { type ApiDocument, finishDocument } from './api-document.ts'
import { giveRole } from './api-role.ts'
import { securityOf, securitySchemes } from './openapi-security.ts'

const about = `Every frame of a video, scored by a model.

Send a token with every call: \`Authorization: Bearer TOKEN\`. The way of a video: \`POST /v1/jobs\` names it and answers an id at once;
\`GET /v1/jobs/{id}\` says how it is doing; \`GET /v1/jobs/{id}/output\` is the finished video. A file that is nowhere yet goes to
\`POST /v1/uploads\` first.

Every error is a \`Problem\`: one sentence in \`detail\`, and a \`code\` for programs. 429 and 503 say in \`Retry-After\` when to come back.`

/**
 * Describes the routes that are added after this, at `/docs` (to read and try) and `/docs/json`: to everybody, or to
 * callers only.
 */
export async function describeApi(app: FastifyInstance, { docsOpen }: { docsOpen: boolean }): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'framefleet', version: '1', description: about },
      components: { securitySchemes },
      tags: [
        { name: 'jobs', description: 'Submit a video, follow it, fetch what came of it' },
        { name: 'models', description: 'What a job may name' },
        { name: 'fleet', description: 'Who is there to work, and how many may be' },
        { name: 'triggers', description: 'Which videos that land in storage start which jobs' },
        { name: 'readings', description: 'What devices measure, kept for the jobs that score it' },
        { name: 'schedules', description: 'Jobs that are started by the clock' },
        { name: 'quarantine', description: 'What was taken out of the way, with its evidence' },
      ],
    },
    transform: (route) => securityOf(route, jsonSchemaTransform(route)),
    transformObject: (document) =>
      finishDocument(jsonSchemaTransformObject(document) as ApiDocument) as ReturnType<
        typeof jsonSchemaTransformObject
      >,
  })
  await app.register(async (scope) => {
    giveRole(scope, docsOpen ? 'open' : 'Job.Read')
    await scope.register(swaggerUi, {
      routePrefix: '/docs',
      uiConfig: { docExpansion: 'list', tryItOutEnabled: true, displayOperationId: true },
      theme: {
        title: 'framefleet API',
        css: [{ filename: 'plain.css', content: '.topbar { display: none }' }],
      },
    })
  })
}

import type { FastifySchema, RouteOptions } from 'fastify'

/** The two kinds of token; both go into `Authorization: Bearer`. */
export const securitySchemes = {
  token: { type: 'http', scheme: 'bearer', description: 'A static token: it may do everything.' },
  entra: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description:
      'An access token of Microsoft Entra ID for this API. Its app roles count: Job.Read looks; Job.Submit also submits, cancels and resumes; Fleet.Admin also sets the fleet and empties quarantine.',
  },
} as const

/** Says of a described route which role it needs. */
export function securityOf<Described extends { schema: FastifySchema }>(
  { route }: { route: RouteOptions },
  described: Described,
): Described {
  const role = route.config?.role ?? 'Fleet.Admin'
  const security = role === 'open' ? [] : [{ token: [] }, { entra: [role] }]
  return { ...described, schema: { ...described.schema, security } }
}

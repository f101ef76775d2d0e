import type { FastifyInstance } from 'fastify'

/**
 * What a caller may do. Each role may do what those before it may; `open` asks for nothing.
 *
 *   Job.Read      look: jobs, what they made, the fleet, the models, quarantine
 *   Job.Submit    and submit, cancel and resume jobs, upload videos
 *   Fleet.Admin   and set the fleet, the triggers and the schedules, empty quarantine, open Bull Board
 */
export type ApiRole = 'Job.Read' | 'Job.Submit' | 'Fleet.Admin' | 'open'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route; none given is Fleet.Admin. */
    role?: ApiRole
  }
}

const ladder = ['Job.Read', 'Job.Submit', 'Fleet.Admin'] as const

export const everyRole: ReadonlySet<ApiRole> = new Set(ladder)

/** What these roles allow, with the roles that they include; words that are none of ours count for nothing. */
export function rolesOf(given: readonly string[]): ReadonlySet<ApiRole> {
  const highest = Math.max(-1, ...given.map((role) => ladder.findIndex((each) => each === role)))
  return new Set(ladder.slice(0, highest + 1))
}

/** Gives all routes that are added to `scope` from here on this role, unless they name one: those of plugins can't. */
export function giveRole(scope: FastifyInstance, role: ApiRole): void {
  scope.addHook('onRoute', (route) => {
    route.config = { ...route.config, role: route.config?.role ?? role }
  })
}

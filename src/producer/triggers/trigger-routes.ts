import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import pMap from 'p-map'
import { z } from 'zod'
import { InputError } from '../../shared/errors.ts'
import { layout } from '../../shared/layout.ts'
import { type AcceptDeps, checkJob } from '../accept-job.ts'
import { Problem } from '../problem.ts'
import { type Rule, Rules, isTriggerFile, requestOf, ruleFor } from './rule.ts'
import type { RulesStore } from './rules-store.ts'

export type TriggerRoutesDeps = { accept: AcceptDeps; rules: RulesStore }

const RulesView = z
  .object({ ...Rules.shape, byDefault: z.boolean().describe('whether nobody has set any') })
  .meta({ id: 'TriggerRulesView' })
const Tried = z
  .object({
    rule: z.string().nullable().describe('the one that takes it'),
    request: z.record(z.string(), z.unknown()).nullable().describe('the job request that it would send'),
    why: z.string().optional().describe('where it would start none'),
  })
  .meta({ id: 'TriggerTried' })

const tags = ['triggers']
const errors = { 400: Problem, 401: Problem, 403: Problem, 422: Problem }

/** `/v1/triggers`: which videos that land start which jobs. */
export function addTriggerRoutes(root: FastifyInstance, { accept, rules }: TriggerRoutesDeps): void {
  const app = root.withTypeProvider<ZodTypeProvider>()
  const { media } = accept

  app.get(
    '/v1/triggers',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'Which videos that land start which jobs',
        response: { 200: RulesView, ...errors },
      },
    },
    async () => {
      const { rules: inForce, byDefault } = await rules.read()
      return { ...inForce, byDefault }
    },
  )

  app.put(
    '/v1/triggers',
    {
      config: { role: 'Fleet.Admin' },
      schema: {
        tags,
        summary: 'Set which videos that land start which jobs',
        description: `All of them at once. The first rule that takes a blob under ${layout.arrivals} counts; no rules start nothing, nor does a *.trigger.json unless triggerFiles is set. What has landed before is not looked at again.`,
        body: Rules,
        response: { 200: RulesView, ...errors },
      },
    },
    async ({ body }) => {
      await pMap(body.rules, checkRule, { concurrency: 4 })
      await rules.set(body)
      return { ...body, byDefault: false }
    },
  )

  app.post(
    '/v1/triggers/test',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'Which rule would take a video, and what job it would start',
        body: z.strictObject({ name: z.string().min(1).max(1_024) }),
        response: { 200: Tried, ...errors },
      },
    },
    async ({ body: { name } }) => {
      const none = (why: string, rule: string | null = null) => ({ rule, request: null, why })
      if (!name.startsWith(layout.arrivals)) return none(`it is not under ${layout.arrivals}`)
      const inForce = (await rules.read()).rules
      if (isTriggerFile(name))
        return none(
          inForce.triggerFiles
            ? 'it is a trigger file, which says itself what to start'
            : 'the rules take no trigger files',
        )
      const rule = ruleFor(inForce, name)
      if (!rule) return none('no rule takes it')
      if (!rule.job) return none('the rule starts none', rule.name)
      const request = requestOf(
        rule.job,
        { name, modified: new Date() },
        { prefix: rule.prefix, urlOf: media.url },
      )
      return { rule: rule.name, request }
    },
  )

  /** As if a blob that it takes had landed. */
  async function checkRule(rule: Rule): Promise<void> {
    if (!rule.job) return
    const name = `${rule.prefix}${rule.prefix.endsWith('/') ? 'film' : ''}${rule.suffixes[0] ?? '.mp4'}`
    try {
      const landed = { name, modified: new Date() }
      await checkJob(accept, requestOf(rule.job, landed, { prefix: rule.prefix, urlOf: media.url }))
    } catch (error) {
      if (error instanceof InputError)
        throw new InputError(error.code, `The rule ${rule.name}: ${error.message}`, { cause: error })
      throw error
    }
  }
}

import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { FleetSettingsStore } from '../shared/fleet-settings.ts'
import { FleetChange, FleetSettings, FleetView, WorkerRecord } from '../shared/fleet.ts'
import type { Rates } from '../shared/rates.ts'
import type { WorkerRegistry } from '../shared/worker-registry.ts'
import { Problem } from './problem.ts'

export type FleetDeps = {
  settings: Pick<FleetSettingsStore, 'read' | 'change'>
  workers: Pick<WorkerRegistry, 'list'>
  rates: Pick<Rates, 'all'>
  /** What the autoscaler saw and decided at its last turn, unless that is too long ago. */
  view(): Promise<FleetView | null>
}

/** Of the workers, those that beat last. */
const mostShown = 1_000

const Rate = z
  .object({
    model: z.string().describe('name@version; of models by partition their pattern'),
    size: z
      .string()
      .describe('WIDTHxHEIGHT; of images a size of about as many pixels, of a table FEATURESx1'),
    device: z.string(),
    secondsPerFrame: z.number().describe('of one busy worker'),
    setUpSeconds: z.number().describe('of one batch'),
    batches: z.number().int().describe('how many were measured'),
    at: z.number().describe('when the last one was, in ms'),
  })
  .meta({ id: 'Rate' })

const Fleet = z
  .object({
    settings: FleetSettings,
    autoscaler: FleetView.nullable().describe('null where none has been at work for a minute'),
    workers: z.array(WorkerRecord).describe(`those that beat last, at most ${mostShown}`),
    workersTotal: z.number().int(),
    rates: z.array(Rate),
  })
  .meta({ id: 'Fleet' })
const tags = ['fleet']
const errors = { 400: Problem, 401: Problem, 403: Problem }

/** `/v1/fleet`: who is there to work, what the autoscaler makes of it, and between which bounds. */
export function addFleetRoutes(root: FastifyInstance, deps: FleetDeps): void {
  const app = root.withTypeProvider<ZodTypeProvider>()

  app.get(
    '/v1/fleet',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'The fleet: what was set, what the autoscaler decided, every worker, and how fast they are',
        response: { 200: Fleet, ...errors },
      },
    },
    async () => {
      const [settings, autoscaler, all, measured] = await Promise.all([
        deps.settings.read(),
        deps.view(),
        deps.workers.list(),
        deps.rates.all(),
      ])
      const shown =
        all.length > mostShown ? all.toSorted((a, b) => b.beatAt - a.beatAt).slice(0, mostShown) : all
      return { settings, autoscaler, workers: shown, workersTotal: all.length, rates: measured }
    },
  )

  app.put(
    '/v1/fleet',
    {
      config: { role: 'Fleet.Admin' },
      schema: {
        tags,
        summary: 'Set the fleet',
        description:
          'What is given takes the place of what was set; the rest stays. A size holds whatever there is to do, until it is null again. Nothing may pass the ceiling that the environment sets. The autoscaler heeds it at its next turn.',
        body: FleetChange,
        response: { 200: FleetSettings, 422: Problem, ...errors },
      },
    },
    async (request) => {
      const settings = await deps.settings.change(request.body)
      request.log.info({ ...settings, client: request.client }, 'the fleet was set')
      return settings
    },
  )
}

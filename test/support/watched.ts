import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parser } from '@prometheus-io/lezer-promql'
import { parse } from 'yaml'
import { z } from 'zod'

const deploy = join(import.meta.dirname, '../../deploy')

const Rules = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.strictObject({
          alert: z.string(),
          expr: z.string(),
          for: z.string().regex(/^\d+m$/),
          labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
          annotations: z.strictObject({
            summary: z.string(),
            description: z.string(),
            runbook_url: z.string(),
          }),
        }),
      ),
    }),
  ),
})

const Dashboard = z.object({
  uid: z.string(),
  templating: z.object({
    list: z.array(z.object({ name: z.string(), type: z.string(), definition: z.string().optional() })),
  }),
  panels: z.array(
    z.object({
      id: z.number(),
      type: z.string(),
      title: z.string(),
      description: z.string().optional(),
      gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
      targets: z.array(z.object({ refId: z.string(), expr: z.string() })).default([]),
    }),
  ),
})

export const rulesFile = join(deploy, 'prometheus/rules.yml')
export const readRules = async () =>
  Rules.parse(parse(await readFile(rulesFile, 'utf8'))).groups.flatMap(({ rules }) => rules)
export const readDashboard = async () =>
  Dashboard.parse(JSON.parse(await readFile(join(deploy, 'grafana/framefleet.json'), 'utf8')))

/** The metrics that a PromQL expression selects. Throws where it is none. */
export function metricsIn(expr: string): string[] {
  // What Grafana puts in before it asks.
  const text = expr.replaceAll('$__rate_interval', '5m')
  const names: string[] = []
  parser.parse(text).iterate({
    enter(node) {
      if (node.type.isError) throw new Error(`no PromQL at ${node.from}: ${text}`)
      if (node.name === 'VectorSelector') {
        const name = node.node.getChild('Identifier')
        if (!name) throw new Error(`a selector without a metric: ${text}`)
        names.push(text.slice(name.from, name.to))
      }
    },
  })
  return names
}

export async function metricsOfDashboard(): Promise<string[]> {
  const { panels, templating } = await readDashboard()
  const asked = templating.list.flatMap(({ definition }) => {
    const selector = /^label_values\((.*), \w+\)$/.exec(definition ?? '')?.[1]
    return selector === undefined ? [] : [selector]
  })
  const shown = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
  return [...asked, ...shown].flatMap(metricsIn)
}

export const metricsOfRules = async () => (await readRules()).flatMap(({ expr }) => metricsIn(expr))

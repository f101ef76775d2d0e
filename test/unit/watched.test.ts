import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { metricsIn, metricsOfDashboard, readDashboard, readRules, rulesFile } from '../support/watched.ts'

const run = promisify(execFile)

test('each alert goes off where it should, and not before', async () => {
  const options = { cwd: dirname(rulesFile) }
  expect((await run('promtool', ['check', 'rules', 'rules.yml'], options)).stdout).toContain('SUCCESS')
  expect((await run('promtool', ['test', 'rules', 'rules.test.yml'], options)).stdout).toContain('SUCCESS')
  const tried = await readFile(join(dirname(rulesFile), 'rules.test.yml'), 'utf8')
  const alerts = (await readRules()).map(({ alert }) => alert)
  const goOff = alerts.filter((alert) => new RegExp(`alertname: ${alert}\\n +exp_alerts:`).test(tried))
  expect(goOff).toEqual(alerts)
})

test('each alert has its page in the runbooks, and each page its alert', async () => {
  const book = await readFile(join(import.meta.dirname, '../../docs/runbooks.md'), 'utf8')
  const pages = [...book.matchAll(/^## (\w+)$/gm)].map(([, name]) => name ?? '')
  const rules = await readRules()
  expect(pages).toEqual(rules.map(({ alert }) => alert))
  for (const { alert, annotations } of rules)
    expect(annotations.runbook_url).toBe(`docs/runbooks.md#${alert.toLowerCase()}`)
})

test('the dashboard asks in PromQL, and no panel hides another', async () => {
  expect((await metricsOfDashboard()).length).toBeGreaterThan(30)
  const { panels } = await readDashboard()
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  const cells = panels.flatMap(({ title, gridPos: { x, y, w, h } }) => {
    expect({ title, fits: x + w <= 24 }).toEqual({ title, fits: true })
    return Array.from({ length: w * h }, (_, i) => `${x + (i % w)} ${y + Math.floor(i / w)}`)
  })
  expect(new Set(cells).size).toBe(cells.length)
  expect(
    panels.filter(
      ({ type, targets, description }) => type !== 'row' && (targets.length === 0 || !description),
    ),
  ).toEqual([])
  const rows = panels.filter(({ type }) => type === 'row').map(({ title }) => title)
  expect(rows).toEqual(['Work', 'Speed', 'Failures', 'Fleet', 'Cost', 'Processes'])
})

test('what is no PromQL is seen', () => {
  expect(metricsIn('max by (a) (rate(x_total{b="$c"}[$__rate_interval])) / on () y offset 5m')).toEqual([
    'x_total',
    'y',
  ])
  expect(() => metricsIn('max(x')).toThrow(/no PromQL/)
  expect(() => metricsIn('sum(rate(x[5z]))')).toThrow(/no PromQL/)
})

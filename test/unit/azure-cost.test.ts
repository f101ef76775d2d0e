import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Prices, restingMonth, videoHour } from '../../deploy/prices/cost.ts'
import { at, choices, deployDir } from '../support/deployment.ts'

const { usual } = choices

describe.each(globSync('prices/*.json', { cwd: deployDir }))('%s', (file) => {
  const prices = Prices.parse(JSON.parse(readFileSync(join(deployDir, file), 'utf8')))

  test('is of the month that it is called after', () => {
    expect(file).toBe(`prices/${prices.date.slice(0, 7)}.json`)
  })

  test('prices every size that there is a preset for', () => {
    const presets = globSync('presets/*.json', { cwd: deployDir }).map((name) => name.slice(8, -5))
    expect(Object.keys(prices.machines).sort()).toEqual(presets.sort())
    for (const { spot, regular } of Object.values(prices.machines)) expect(spot).toBeLessThan(regular)
  })

  test('counts what is deployed', () => {
    type App = {
      scale: { minReplicas: number }
      containers: { resources: { cpu: number; memory: string } }[]
    }
    const apps = usual.of('App/containerApps').map(({ body }) => at(body, 'properties.template') as App)
    const sum = (of: (app: App) => number) =>
      apps.reduce((all, app) => all + app.scale.minReplicas * of(app), 0)
    const count = (thing: string) => prices.atRest.find((each) => each.thing.startsWith(thing))?.count
    expect(count('container apps, processors')).toBe(sum((app) => app.containers[0]?.resources.cpu ?? 0))
    expect(count('container apps, GiB')).toBe(
      sum((app) => Number.parseFloat(app.containers[0]?.resources.memory ?? '')),
    )
    expect(count('registry')).toBe(usual.of('ContainerRegistry/registries').length)
    expect(count('NAT gateway')).toBe(usual.of('Network/natGateways').length)
    expect(count('public address')).toBe(usual.of('Network/publicIPAddresses').length)
    expect(count('private endpoints')).toBe(usual.of('Network/privateEndpoints').length)
    expect(count('private DNS zones')).toBe(usual.of('Network/privateDnsZones').length)
    expect(usual.one('Cache/redisEnterprise').body.sku).toEqual({ name: 'Balanced_B1' })
    expect(count('Redis, Balanced_B1 with')).toBe(1)
  })
})

test.each([
  ['second', 2_628_000],
  ['hour', 730],
  ['day', 365 / 12],
  ['month', 1],
] as const)('a price by the %s is paid for a month of 730 hours', (per, times) => {
  const atRest = [{ thing: 'a thing', count: 2, price: 0.5, per, from: null }]
  const prices = { date: '2026-11-21', currency: 'USD', region: 'r', atRest, machines: {} }
  const [month] = restingMonth(Prices.parse(prices))
  expect(month).toEqual({ thing: 'a thing', cost: expect.closeTo(times) as number, isExample: true })
})

test('an hour of video costs the hours that its frames take', () => {
  // 86,400 frames, ten a second: 2.4 hours of work, in 3 hours of machines.
  const work = {
    workersPerMachine: 1,
    framesPerSecond: 24,
    scoredPerSecond: 10,
    busyShare: 0.8,
    hourPrice: 2,
  }
  expect(videoHour(work)).toBeCloseTo(6)
  expect(videoHour({ ...work, workersPerMachine: 4 })).toBeCloseTo(1.5)
  expect(videoHour({ ...work, framesPerSecond: 48 })).toBeCloseTo(12)
  expect(videoHour({ ...work, scoredPerSecond: 20, busyShare: 1 })).toBeCloseTo(2.4)
})

test('a price that nobody can have read is refused', () => {
  const machine = { regular: 1, spot: 0.1, from: 'somewhere' }
  const prices = { date: '2026-11-21', currency: 'USD', region: 'r', atRest: [], machines: { t4: machine } }
  expect(Prices.safeParse(prices).success).toBe(false)
})

describe('the page of the deployment', () => {
  const page = readFileSync(join(deployDir, 'README.md'), 'utf8').replaceAll(/ +/g, ' ')
  const latest = globSync('prices/*.json', { cwd: deployDir }).toSorted().at(-1) ?? ''
  const prices = Prices.parse(JSON.parse(readFileSync(join(deployDir, latest), 'utf8')))

  test('says what the latest prices come to', () => {
    expect(page).toContain(latest.slice('prices/'.length, -'.json'.length))
    const month = restingMonth(prices).reduce((sum, { cost }) => sum + cost, 0)
    expect(page).toContain(`| together | ${month.toFixed(0)} |`)
  })

  test.each(['t4', 'a10', 'a100', 'h100'])('says what an hour of video costs with %s', (gpu) => {
    const { spot = 0, regular = 0 } = prices.machines[gpu] ?? {}
    const cost = (hourPrice: number, scoredPerSecond: number) =>
      videoHour({
        ...{ hourPrice, scoredPerSecond, workersPerMachine: 1 },
        framesPerSecond: 24,
        busyShare: 0.8,
      })
    const cells = [cost(spot, 1), cost(spot, 10), cost(spot, 30), cost(regular, 10)]
    expect(page).toContain(`| ${cells.map((dollars) => dollars.toFixed(2)).join(' | ')} |`)
  })
})

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { z } from 'zod'
import { autoscalerSettings } from '../../src/autoscaler/config.ts'
import { producerSettings } from '../../src/producer/config.ts'
import { readConfig } from '../../src/shared/config.ts'
import { stitcherSettings } from '../../src/stitcher/config.ts'
import { workerSettings } from '../../src/worker/config.ts'
import type { Resource } from '../support/bicep/expand.ts'
import { at, choices, deploy, deployDir, linesOf, firstStart, settingsOf } from '../support/deployment.ts'

const root = join(deployDir, '..')
const { usual } = choices
const fleetType = 'Compute/virtualMachineScaleSets'

describe('what roles are told', () => {
  const shapes: Record<string, z.ZodRawShape> = {
    ...{ producer: producerSettings, stitcher: stitcherSettings, autoscaler: autoscalerSettings },
  }

  test.each(Object.entries(shapes))('the %s takes it', (name, shape) => {
    const app = usual.one('App/containerApps', name)
    const settings = settingsOf(app)
    // The one thing that the deployment has no value for: callers are to sign in with Entra ID.
    const given = name === 'producer' ? { FRAMEFLEET_API_TOKENS: 'a-token-of-some-length' } : {}
    const config = readConfig(shape, { ...settings, ...given }) as Record<string, unknown>
    expect(config).toMatchObject({
      FRAMEFLEET_REDIS_URL: expect.stringMatching(/^rediss:\/\/[\w-]+\.redis\.azure\.net:10000$/) as string,
      FRAMEFLEET_HOST: '0.0.0.0',
    })
    expect(settings.AZURE_CLIENT_ID).toBe(`client of ff-test-${name}`)
    const port = at(app.body, 'properties.configuration.ingress.targetPort')
    const own = {
      producer: 'FRAMEFLEET_API_PORT',
      stitcher: 'FRAMEFLEET_STITCHER_PORT',
      autoscaler: 'FRAMEFLEET_AUTOSCALER_PORT',
    }
    expect(config[own[name as keyof typeof own]]).toBe(port)
    const [container] = at(app.body, 'properties.template.containers') as {
      probes: { httpGet: { port: number } }[]
    }[]
    expect(container?.probes.map(({ httpGet }) => httpGet.port)).toEqual([port, port, port])
    // What it may take to end is less than what it is given.
    const graceMs = Number(at(app.body, 'properties.template.terminationGracePeriodSeconds')) * 1_000
    expect(Number(config.FRAMEFLEET_DRAIN_MS)).toBeLessThan(graceMs - 5_000)
  })

  test('the autoscaler steers the scale set that is deployed', () => {
    const settings = settingsOf(usual.one('App/containerApps', 'autoscaler'))
    expect(settings).toMatchObject({
      FRAMEFLEET_FLEET: 'vmss',
      FRAMEFLEET_VMSS_ID: usual.one(fleetType).id,
      FRAMEFLEET_WORKERS_PER_INSTANCE: '1',
    })
  })

  test('workers take it, and every file they start with is there', () => {
    const { files, programs } = firstStart(usual.one(fleetType))
    const content = (path: string) => files[path]?.content ?? ''
    const env = linesOf(content('/etc/framefleet/worker.env'))
    expect(readConfig(workerSettings, env)).toMatchObject({
      ...{ FRAMEFLEET_DEVICE: 'cuda', FRAMEFLEET_DEVICE_ID: 0 },
      FRAMEFLEET_IMDS_URL: 'http://169.254.169.254',
      FRAMEFLEET_MEDIA_ACCOUNT: expect.stringMatching(
        /^https:\/\/ffmedia\w+\.blob\.core\.windows\.net$/,
      ) as string,
    })
    expect(linesOf(content('/etc/framefleet/machine.env'))).toEqual({
      CLIENT_ID: 'client of ff-test-worker',
      GPUS: '1',
      IMAGE: expect.stringMatching(/azurecr\.io\/framefleet-worker-cuda:1\.2\.3$/) as string,
      REGISTRY: expect.stringMatching(/azurecr\.io$/) as string,
      RESOURCE_MANAGER: 'https://management.azure.com/',
    })
    const named = Object.values(files).flatMap(
      (file) => file.content.match(/\/(?:opt|etc)\/framefleet\/[\w.-]+/g) ?? [],
    )
    expect(programs).toEqual([['/opt/framefleet/prepare-machine.sh']])
    expect([...named, ...programs.flat()].filter((path) => !(path in files))).toEqual([])
    for (const [path, { permissions }] of Object.entries(files))
      expect(permissions).toBe(path.endsWith('.sh') ? '0755' : '0644')
  })

  test('nothing names a setting that no role has', () => {
    const all = Object.assign({}, ...Object.values(shapes), workerSettings) as object
    const sources = globSync(['deploy/**/*', 'azure.yaml'], { cwd: root, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
      .join('\n')
    const named = new Set(sources.match(/\bFRAMEFLEET_[A-Z_]+/g))
    expect([...named].filter((name) => !(name in all))).toEqual([])
  })
})

test('nobody who may use the API sets the fleet to more than the deployment says', () => {
  const ceilings = [{}, { fleetMax: 50 }, { fleetCeiling: 8 }].map((params) =>
    ['producer', 'autoscaler'].map((name) => {
      const settings = settingsOf(deploy(params).one('App/containerApps', name))
      const shape = name === 'producer' ? producerSettings : autoscalerSettings
      return readConfig(shape, { ...settings, FRAMEFLEET_API_TOKENS: 'a-token-of-some-length' })
        .FRAMEFLEET_FLEET_CEILING
    }),
  )
  expect(ceilings).toEqual([
    [20, 20],
    [50, 50],
    [8, 8],
  ])
})

test('as many producers and stitchers run as were asked for, whatever Azure counts', () => {
  const { one } = deploy({ producers: 3, stitchers: 5 })
  const scales = ['producer', 'stitcher', 'autoscaler', 'metrics'].map((name) =>
    at(one('App/containerApps', name).body, 'properties.template.scale'),
  )
  expect(scales).toEqual([3, 5, 1, 1].map((replicas) => ({ minReplicas: replicas, maxReplicas: replicas })))
})

test.each(Object.entries(choices))(
  '%s: the disks of all have room for what they are told to hold',
  (name, { of }) => {
    const apps = of('App/containerApps').filter((app) => ['producer', 'stitcher'].includes(app.name))
    const replicasOf = (app: Resource) => Number(at(app.body, 'properties.template.scale.maxReplicas'))
    // A source that comes and what is made of it: as much again as the cache.
    const wanted = apps.map((app) => 2 * Number(settingsOf(app).FRAMEFLEET_CACHE_MAX_BYTES))
    const gib = 1024 ** 3
    // Of a share half is left for what those that are gone have left behind.
    const there = name.startsWith('open') ? (1024 * gib) / 2 : 8 * gib
    const share = name.startsWith('open') ? apps.reduce((all, app) => all + replicasOf(app), 0) : 1
    expect(wanted.filter((bytes) => bytes * share > there)).toEqual([])
  },
)

test('alerts ask for metrics that roles have', () => {
  const [group] = usual.of('AlertsManagement/prometheusRuleGroups')
  const rules = at(group?.body, 'properties.rules') as { alert: string; expression: string; for: string }[]
  const source = globSync('src/**/*.ts', { cwd: root })
    .map((file) => readFileSync(join(root, file), 'utf8'))
    .join('\n')
  for (const { expression, for: lasts } of rules) {
    const names = expression.match(/\bframefleet_\w+/g) ?? []
    expect(names.length).toBeGreaterThan(0)
    for (const name of names) expect(source).toContain(`'${name}'`)
    expect(expression).not.toContain('FLEET_MAX')
    expect(lasts).toMatch(/^PT\d+M$/)
  }
})

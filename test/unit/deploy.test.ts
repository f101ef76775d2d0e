import { globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { layout } from '../../src/shared/layout.ts'
import { readParamFile } from '../support/bicep/param-file.ts'
import { at, choices, deploy, deployDir, settingsOf, traces } from '../support/deployment.ts'

const { usual } = choices
const fleetType = 'Compute/virtualMachineScaleSets'
const storageType = 'Storage/storageAccounts'

describe.each(Object.entries(choices))('%s', (name, { resources, outputs, of, one }) => {
  const isOpen = name.startsWith('open')

  test('no storage account has a key or a door', () => {
    const accounts = of(storageType).filter(({ body }) => body.kind === 'StorageV2')
    expect(accounts).toHaveLength(2)
    for (const { body } of accounts) {
      expect(body.properties).toMatchObject({
        ...{ allowSharedKeyAccess: false, allowBlobPublicAccess: false, allowCrossTenantReplication: false },
        ...{ publicNetworkAccess: 'Disabled', supportsHttpsTrafficOnly: true, minimumTlsVersion: 'TLS1_2' },
        encryption: { requireInfrastructureEncryption: true },
        networkAcls: { defaultAction: 'Deny' },
      })
    }
    const containers = of(`${storageType}/blobServices/containers`)
    expect(containers.map((each) => each.name).sort()).toEqual(['media', 'private', 'system', 'undelivered'])
    for (const { body } of containers) expect(body.properties).toEqual({ publicAccess: 'None' })
    // Whoever of Azure's services is trusted comes in by this.
    const open = accounts.filter(({ body }) => at(body, 'properties.networkAcls.bypass') !== 'None')
    expect(open.map((each) => each.name)).toEqual([expect.stringMatching(/^ffmedia/)])
  })

  test('a share for temporary files is reached by the apps alone', () => {
    const shares = of(storageType).filter(({ body }) => body.kind === 'FileStorage')
    expect(shares).toHaveLength(isOpen ? 1 : 0)
    for (const { body } of shares)
      expect(body.properties).toMatchObject({ allowSharedKeyAccess: false, publicNetworkAccess: 'Disabled' })
    const rules = at(
      one('Network/networkSecurityGroups', 'ff-test-net-endpoints').body,
      'properties.securityRules',
    )
    const sources = (rules as { name: string; properties: { sourceAddressPrefix: string } }[])
      .filter((rule) => rule.name === 'share-in')
      .map((rule) => rule.properties.sourceAddressPrefix)
    expect(sources).toEqual(isOpen ? ['10.60.0.0/26'] : [])
  })

  test('accounts and machines are reached from where was said, and from nowhere else', () => {
    type Rule = { properties: { access: string; direction: string } & Record<string, unknown> }
    const doorsOf = (group: string) =>
      (at(one('Network/networkSecurityGroups', group).body, 'properties.securityRules') as Rule[])
        .map(({ properties }) => properties)
        .filter(({ access, direction }) => access === 'Allow' && direction === 'Inbound')
        .map((door) => [
          door.sourceAddressPrefixes ?? [door.sourceAddressPrefix],
          door.destinationPortRanges ?? [door.destinationPortRange],
        ])
    const roles = ['10.60.0.0/26', '10.60.16.0/20']
    expect(doorsOf('ff-test-net-endpoints')).toEqual([
      [roles, ['443', '10000']],
      ...(isOpen ? [[['10.1.0.0/24', '10.2.0.0/24'], ['443']]] : []),
      ...(isOpen ? [[['10.60.0.0/26'], ['2049']]] : []),
    ])
    expect(doorsOf('ff-test-net-workers')).toEqual(isOpen ? [[['10.3.0.0/28'], ['22']]] : [])
  })

  test('Redis forgets nothing, has no keys and no door', () => {
    expect(one('Cache/redisEnterprise').body.properties).toMatchObject({
      ...{ publicNetworkAccess: 'Disabled', minimumTlsVersion: '1.2' },
    })
    expect(one('Cache/redisEnterprise/databases').body.properties).toMatchObject({
      ...{ evictionPolicy: 'NoEviction', clusteringPolicy: 'NoCluster', port: 10_000 },
      ...{ accessKeysAuthentication: 'Disabled', clientProtocol: 'Encrypted' },
    })
    const users = of('Cache/redisEnterprise/databases/accessPolicyAssignments')
    expect(users.map(({ body }) => at(body, 'properties.user.objectId'))).toEqual(
      ['producer', 'worker', 'stitcher', 'autoscaler'].map((role) => `principal of ff-test-${role}`),
    )
  })

  test('images come in from where they are built, and from nowhere else', () => {
    const { properties } = one('ContainerRegistry/registries').body
    expect(properties).toMatchObject({
      ...{ adminUserEnabled: false, anonymousPullEnabled: false },
      networkRuleSet: {
        defaultAction: 'Deny',
        ipRules: isOpen ? [{ action: 'Allow', value: '192.0.2.1' }] : [],
      },
      publicNetworkAccess: isOpen ? 'Enabled' : 'Disabled',
    })
  })

  test('everything that is kept is reached by an address within', () => {
    const services = of('Network/privateEndpoints').map(({ body }) => {
      const [link] = at(body, 'properties.privateLinkServiceConnections') as { properties: object }[]
      return { ...link?.properties, subnet: at(body, 'properties.subnet.id') }
    })
    const kept = [
      ...of(storageType).flatMap(({ id, body }) =>
        servicesOf(String(body.kind), id).map((service) => [id, service]),
      ),
      [one('Cache/redisEnterprise').id, 'redisEnterprise'],
      [one('ContainerRegistry/registries').id, 'registry'],
    ]
    expect(services).toHaveLength(kept.length)
    for (const [privateLinkServiceId, service] of kept)
      expect(services).toContainEqual({
        ...{ privateLinkServiceId, groupIds: [service] },
        subnet: expect.stringMatching(/subnets\/endpoints$/) as string,
      })
  })

  test('the only public address is that of the way out', () => {
    expect(of('Network/publicIPAddresses').map((each) => each.name)).toEqual(['ff-test-net-out'])
    expect(JSON.stringify(of(fleetType))).not.toContain('publicIPAddressConfiguration')
    const [network] = of('Network/virtualNetworks')
    const subnets = at(network?.body, 'properties.subnets') as { name: string; properties: object }[]
    for (const { properties } of subnets)
      expect(properties).toMatchObject({
        defaultOutboundAccess: false,
        networkSecurityGroup: expect.anything() as object,
      })
  })

  test('nothing is a secret, and nothing asks for one', () => {
    const told = entriesOf([resources.map(({ body }) => body), outputs])
    const keys =
      /^(?!allowSharedKeyAccess$).*(password|sharedkey|accountkey|primarykey|secret|connectionstring)/i
    const isSecret = ([key, value]: [string, unknown]) =>
      (keys.test(key) && typeof value !== 'boolean') ||
      (typeof value === 'string' && /AccountKey=|SharedAccess|[?&]sig=|InstrumentationKey=/i.test(value))
    expect(told.filter(isSecret).filter(([, value]) => value !== traces)).toEqual([])
    for (const { body } of of('OperationalInsights/workspaces'))
      expect(body.properties).toHaveProperty('features.disableLocalAuth', true)
    expect(one('Insights/components').body.properties).toHaveProperty('DisableLocalAuth', true)
  })

  test('the fleet is what was asked for, and no machine can be signed in to by a password', () => {
    const [fleet, ...more] = of(fleetType)
    expect(more).toEqual([])
    expect(fleet === undefined).toBe(name.startsWith('first'))
    if (fleet === undefined) return
    const isSpot = !name.includes('full price')
    expect(fleet.body.sku).toMatchObject({ capacity: 7 })
    expect(fleet.body.properties).toMatchObject({
      ...{ platformFaultDomainCount: 1, upgradePolicy: { mode: 'Manual' }, singlePlacementGroup: false },
      orchestrationMode: isSpot ? 'Flexible' : 'Uniform',
      overprovision: isSpot ? null : false,
      virtualMachineProfile: {
        ...{ priority: isSpot ? 'Spot' : 'Regular', evictionPolicy: isSpot ? 'Delete' : null },
        billingProfile: isSpot ? { maxPrice: -1 } : null,
        osProfile: {
          allowExtensionOperations: false,
          linuxConfiguration: { disablePasswordAuthentication: true },
        },
        securityProfile: { encryptionAtHost: true },
        scheduledEventsProfile: { terminateNotificationProfile: { enable: true } },
      },
    })
    expect(fleet.body.properties).not.toHaveProperty('virtualMachineProfile.extensionProfile')
  })

  test('every identity is of a user, and each role has its own', () => {
    for (const { body } of [...of('App/containerApps'), ...of(fleetType)]) {
      expect(body.identity).toMatchObject({ type: 'UserAssigned' })
      expect(Object.keys(at(body, 'identity.userAssignedIdentities') as object)).toHaveLength(1)
    }
    for (const app of of('App/containerApps'))
      expect(JSON.stringify(app.body.identity)).toContain(`ff-test-${app.name}"`)
  })
})

/** What of an account is in use: nobody needs the queues of the system account. */
function servicesOf(kind: string, id: string): string[] {
  if (kind === 'FileStorage') return ['file']
  return id.includes('/ffmedia') ? ['blob', 'queue'] : ['blob']
}

/** Every name that something has, at whatever depth, and what it is. */
function entriesOf(value: unknown): [string, unknown][] {
  if (typeof value !== 'object' || value === null) return []
  const own = Array.isArray(value) ? [] : Object.entries(value)
  return [...own, ...Object.values(value).flatMap(entriesOf)]
}

test('the number of machines is kept where there is a fleet, and none at first', () => {
  expect(deploy({ fleetExists: false }).one(fleetType).body.sku).toMatchObject({ capacity: 0 })
  expect(usual.one(fleetType).body.sku).toMatchObject({ capacity: 7 })
})

test.each(globSync('presets/*.json', { cwd: deployDir }))('%s is a size to be had', (file) => {
  const preset = JSON.parse(readFileSync(join(deployDir, file), 'utf8')) as {
    size: string
    retired: string | null
  }
  const gpu = file.slice('presets/'.length, -'.json'.length)
  expect(deploy({ gpu }).one(fleetType).body.sku).toMatchObject({ name: preset.size })
  expect(preset.retired).toBe(gpu === 'v100' ? '2025-09-30' : null)
})

test('Event Grid comes in by the identity that an account without a door takes', () => {
  const { body } = usual.one('EventGrid/systemTopics/eventSubscriptions')
  for (const way of ['deliveryWithResourceIdentity', 'deadLetterWithResourceIdentity'])
    expect(at(body, `properties.${way}.identity`)).toEqual({ type: 'SystemAssigned' })
  expect(usual.one('EventGrid/systemTopics').body.identity).toEqual({ type: 'SystemAssigned' })
})

test.each(Object.entries(choices))(
  '%s: pages of the API alone read and write blobs by script',
  (_, { of }) => {
    const rulesOf = of(`${storageType}/blobServices`).map(({ id, body }) => [
      id.includes('/ffmedia') ? 'media' : 'system',
      (at(body, 'properties.cors.corsRules') as { allowedOrigins: string[] }[]).flatMap(
        ({ allowedOrigins }) => allowedOrigins,
      ),
    ])
    expect(Object.fromEntries(rulesOf)).toEqual({ media: ['https://producer.apps.example'], system: [] })
  },
)

test('new inputs are told of, and outputs are not', () => {
  const filter = at(usual.one('EventGrid/systemTopics/eventSubscriptions').body, 'properties.filter')
  const blobs = '/blobServices/default/containers/media/blobs/'
  const prefix = String(at(filter, 'subjectBeginsWith'))
  expect(`${blobs}${layout.arrivals}film.mp4`.startsWith(prefix)).toBe(true)
  const others = [layout.output('id', 'mp4'), layout.segment('id', 0), layout.openMark('id'), layout.readings]
  for (const name of others) expect(`${blobs}${name}`.startsWith(prefix)).toBe(false)
})

test('what jobs leave behind is removed after the janitor should have, and never where jobs are kept', () => {
  const rulesOf = (days: number) =>
    JSON.stringify(
      deploy({ keepJobsDays: days })
        .of(`${storageType}/managementPolicies`)
        .map(({ body }) => body),
    )
  expect(rulesOf(90)).toContain(
    '"prefixMatch":["media/jobs/","private/jobs/"]},"actions":{"baseBlob":{"delete":{"daysAfterModificationGreaterThan":120}}}',
  )
  expect(rulesOf(0)).not.toContain('media/jobs/')
  const kept = Object.values(choices).flatMap(({ of }) =>
    of('App/containerApps')
      .filter(({ name }) => name === 'producer')
      .map((app) => settingsOf(app).FRAMEFLEET_KEEP_JOBS_DAYS),
  )
  expect(kept).toEqual(['0', '0', '90'])
})

test('readings are kept for ever, or for so many days', () => {
  const rulesOf = (days: number) => {
    const rules = deploy({ keepReadingsDays: days }).of(`${storageType}/managementPolicies`)
    return JSON.stringify(rules.map(({ body }) => body))
  }
  expect(rulesOf(400)).toContain(
    `"filters":{"blobTypes":["appendBlob"],"prefixMatch":["media/${layout.readings}"]},"actions":{"baseBlob":{"delete":{"daysAfterModificationGreaterThan":400}}}`,
  )
  expect(rulesOf(0)).not.toContain(layout.readings)
})

test('log lines are removed after the janitor should have, and never where they are kept', () => {
  const rulesOf = (days: number) => {
    const { of, one } = deploy({ keepLogsDays: days })
    const rules = JSON.stringify(of(`${storageType}/managementPolicies`).map(({ body }) => body))
    const { FRAMEFLEET_KEEP_LOGS_DAYS: told } = settingsOf(one('App/containerApps', 'producer'))
    const [, after] = /"system\/logs\/"\]\},.*?"daysAfterModificationGreaterThan":(\d+)/.exec(rules) ?? []
    return [told, after]
  }
  expect([rulesOf(14), rulesOf(0)]).toEqual([
    ['14', '44'],
    ['0', undefined],
  ])
})

test('one budget is for all that is deployed', () => {
  const { body } = usual.one('Consumption/budgets')
  expect(body.properties).toMatchObject({
    amount: 100,
    filter: {
      dimensions: { name: 'ResourceGroupName', operator: 'In', values: ['rg-test', 'rg-test-fleet'] },
    },
  })
})

describe('azd', () => {
  const file = join(deployDir, 'main.bicepparam')
  const env = {
    ...{ AZURE_ENV_NAME: 'prod', AZURE_LOCATION: 'westeurope', FLEET_EXISTS: 'true', GPU: 'a100' },
    ...{ SSH_PUBLIC_KEY: 'ssh-ed25519 AAAA', ALERT_EMAILS: 'a@example.com,b@example.com' },
    ...{ MONTHLY_BUDGET: '500', BUDGET_START: '2026-11-01', IMAGE_TAG: '1.2.3' },
    API_AUDIENCE: 'our-application',
  }

  test('gives the template all it needs', () => {
    const { using, params } = readParamFile(file, env)
    expect(using).toBe('main.bicep')
    const { one } = deploy(params, {})
    expect(one('Compute/virtualMachineScaleSets').body.sku).toMatchObject({
      name: 'Standard_NC24ads_A100_v4',
    })
    expect(at(one('Insights/actionGroups').body, 'properties.emailReceivers')).toHaveLength(2)
  })

  test('does not guess whether there is a fleet', () => {
    const { FLEET_EXISTS: _, ...rest } = env
    expect(() => readParamFile(file, rest)).toThrow('FLEET_EXISTS is not set')
  })

  test('takes lists of addresses, and none', () => {
    const lists = (more: Record<string, string>) => {
      const { params } = readParamFile(file, { ...env, ...more })
      return [params.apiAddresses, params.clientAddresses, params.builderAddresses]
    }
    expect(lists({})).toEqual([[], [], []])
    const more = { API_ADDRESSES: '192.0.2.0/24,192.0.2.1', CLIENT_ADDRESSES: '10.1.0.0/24' }
    expect(lists(more)).toEqual([['192.0.2.0/24', '192.0.2.1'], ['10.1.0.0/24'], []])
  })

  test('takes what the page says it takes', () => {
    const page = readFileSync(join(deployDir, 'README.md'), 'utf8')
    const told = page.matchAll(/azd env set ([A-Z_]+)|`([A-Z_]+)=[^`]*`|\bexport ([A-Z_]+=.*)/g)
    const names = [...told].flatMap(([, set, tick, all]) =>
      all === undefined
        ? [set ?? tick ?? '']
        : [...all.matchAll(/(?:^| )([A-Z_]+)=/g)].map(([, name]) => name ?? ''),
    )
    const read = ['main.bicepparam', ...globSync('hooks/*.sh', { cwd: deployDir })]
      .map((name) => readFileSync(join(deployDir, name), 'utf8'))
      .join('\n')
    const theirs = (name: string) => name.startsWith('FRAMEFLEET_')
    expect(names.length).toBeGreaterThan(15)
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(read) && !theirs(name))).toEqual([])
  })

  test('looks for a fleet before each deployment, brings images after it, and deploys what they are for', () => {
    type Hook = { posix: { run: string } }
    const { hooks, workflows } = parse(readFileSync(join(deployDir, '../azure.yaml'), 'utf8')) as {
      hooks: Record<string, Hook>
      workflows: { up: { steps: { azd: string }[] } }
    }
    const scripts = Object.entries(hooks).map(([when, { posix }]) => [when, posix.run])
    expect(scripts).toEqual([
      ['preprovision', 'deploy/hooks/preprovision.sh'],
      ['postprovision', 'deploy/hooks/push-images.sh'],
    ])
    for (const [, script = ''] of scripts)
      expect(statSync(join(deployDir, '..', script)).mode & 0o111).toBe(0o111)
    expect(workflows.up.steps).toEqual([{ azd: 'provision' }, { azd: 'provision' }])
    // What the second script asks for is what the deployment says.
    const asked = readFileSync(join(deployDir, 'hooks/push-images.sh'), 'utf8').match(/\$\{([A-Z_]+):/g) ?? []
    expect(asked.map((name) => name.slice(2, -1)).filter((name) => !(name in usual.outputs))).toEqual([])
  })
})

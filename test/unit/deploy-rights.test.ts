import { describe, expect, test } from 'vitest'
import { layout } from '../../src/shared/layout.ts'
import { holds } from '../support/azure-policy.ts'
import type { Resource } from '../support/bicep/expand.ts'
import { at, choices, deploy } from '../support/deployment.ts'

const { usual } = choices
const fleetType = 'Compute/virtualMachineScaleSets'

test.each(Object.entries(choices))('%s: no role is granted more than it needs', (name, { resources, of }) => {
  for (const { body } of of('Authorization/roleDefinitions')) {
    expect(JSON.stringify(body)).not.toContain('*')
    expect(body.properties).toHaveProperty('type', 'CustomRole')
  }
  expect(grantsOf(resources)).toEqual(expectedGrants(name))
})

/** Who is granted what, and where: one line for each. */
function grantsOf(resources: Resource[]): string[] {
  const nameOf = new Map([
    ['2a2b9908-6ea1-4ae2-8e65-a410df84e7d1', 'Storage Blob Data Reader'],
    ['ba92f5b4-2d11-453d-a403-e96b0029c9fe', 'Storage Blob Data Contributor'],
    ['c6a89b2d-59bc-44d0-9896-0f6e12d7b80a', 'Storage Queue Data Message Sender'],
    ['db58b8e5-c6ad-4a2a-8342-4190687cbf4a', 'Storage Blob Delegator'],
    ['7f951dda-4ed3-4680-a7ca-43fe172d538d', 'AcrPull'],
    ['3913510d-42f4-4e42-8a64-420c390055eb', 'Monitoring Metrics Publisher'],
    ...resources
      .filter(({ type }) => type === 'Microsoft.Authorization/roleDefinitions')
      .map(({ name, body }): [string, string] => [
        name,
        String(at(body, 'properties.roleName')).replace(/^framefleet test \w+ /, 'our '),
      ]),
  ])
  const isGrant = ({ type }: Resource) => type === 'Microsoft.Authorization/roleAssignments'
  return resources
    .filter(isGrant)
    .map(({ id, body: { properties } }) => {
      const who = String(at(properties, 'principalId')).replace('principal of ff-test-', '')
      const role = String(at(properties, 'roleDefinitionId')).split('/').at(-1) ?? ''
      const where = id.split('/providers/Microsoft.Authorization')[0]?.split('/').slice(-2).join('/')
      const names = String(at(properties, 'condition')).matchAll(/StringLike '([^']*)'/g)
      const under = [...names].map(([, name]) => name).join(', ')
      return `${who}: ${nameOf.get(role) ?? role} on ${(where ?? '').replace(/[0-9a-f]{13}$/, '')}${under ? ` as ${under}` : ''}`
    })
    .sort()
}

function expectedGrants(name: string): string[] {
  const pulls = ['producer', 'worker', 'stitcher', 'autoscaler', 'metrics']
  const onFleet = [
    'autoscaler: our fleet scaler on virtualMachineScaleSets/ff-test-fleet',
    ...(name.includes('full price') ? [] : ['autoscaler: our machine maker on resourceGroups/rg-test-fleet']),
  ]
  return [
    ...pulls.map((who) => `${who}: AcrPull on registries/ff`),
    'autoscaler: Storage Blob Data Reader on containers/system as fleet/*',
    'autoscaler: our log writer on containers/system as logs/*/autoscaler/*',
    'autoscaler: our fleet parts on subnets/workers',
    'autoscaler: our fleet parts on userAssignedIdentities/ff-test-worker',
    'autoscaler: our operation watcher on subscriptions/11111111-1111-1111-1111-111111111111',
    'events: Storage Blob Data Contributor on containers/undelivered',
    'events: Storage Queue Data Message Sender on queues/arrivals',
    'metrics: Monitoring Metrics Publisher on dataCollectionRules/ff-test-metrics-in',
    ...['producer', 'worker', 'stitcher'].map(
      (who) => `${who}: Monitoring Metrics Publisher on components/ff-test-traces`,
    ),
    'producer: Storage Blob Delegator on storageAccounts/ffmedia',
    'producer: our blob editor on containers/media',
    'producer: our blob editor on containers/private',
    'producer: our blob editor on containers/system',
    'producer: our message taker on queues/arrivals',
    'stitcher: our blob editor on containers/media',
    'stitcher: our blob remover on containers/private',
    'stitcher: our log writer on containers/system as logs/*/stitcher/*',
    'worker: Storage Blob Data Reader on containers/media',
    'worker: Storage Blob Data Reader on containers/system as models/*',
    'worker: our log writer on containers/system as logs/*/worker/*',
    'worker: our segment writer on containers/media as jobs/*/segments/*, jobs/*/frames/*',
    ...(name.startsWith('first') ? [] : onFleet),
  ].sort()
}

test('a role can be granted only where it is meant for', () => {
  const places = usual
    .of('Authorization/roleDefinitions')
    .map(({ body }) => [
      String(at(body, 'properties.roleName')).replace(/^framefleet test \w+ /, ''),
      ...(at(body, 'properties.assignableScopes') as string[]).map((scope) => scope.split('/').at(-1)),
    ])
  expect(places).toEqual([
    ['blob editor', 'rg-test'],
    ['blob remover', 'rg-test'],
    ['segment writer', 'rg-test'],
    ['log writer', 'rg-test'],
    ['message taker', 'rg-test'],
    ['fleet scaler', 'rg-test-fleet'],
    ['fleet parts', 'rg-test'],
    ['machine maker', 'rg-test-fleet'],
    ['operation watcher', '11111111-1111-1111-1111-111111111111'],
  ])
})

test('what is granted on the subscription can be granted again to an identity that was made anew', () => {
  const nameOf = (generation: string) => {
    const { resources } = deploy({}, undefined, generation)
    return resources
      .filter(({ type }) => type === 'Microsoft.Authorization/roleAssignments')
      .filter(({ id }) => !id.includes('/resourceGroups/'))
      .map(({ name }) => name)
  }
  expect(nameOf('')).toHaveLength(1)
  expect(nameOf('')).toEqual(nameOf(''))
  expect(nameOf(' made anew')).not.toEqual(nameOf(''))
})

test("the autoscaler's role reads the scale set, changes it and removes its machines: no more", () => {
  const role = usual
    .of('Authorization/roleDefinitions')
    .find(({ body }) => String(at(body, 'properties.roleName')).endsWith('fleet scaler'))
  const set = 'Microsoft.Compute/virtualMachineScaleSets'
  expect(at(role?.body, 'properties.permissions')).toEqual([
    {
      actions: [
        'read',
        'write',
        'delete/action',
        'virtualMachines/read',
        'virtualMachines/instanceView/read',
      ].map((action) => `${set}/${action}`),
      dataActions: [],
    },
  ])
})

test('the autoscaler may make what Azure asks for of whoever grows a flexible set, and its parts alone', () => {
  const role = usual
    .of('Authorization/roleDefinitions')
    .find(({ body }) => String(at(body, 'properties.roleName')).endsWith('machine maker'))
  const [permissions] = at(role?.body, 'properties.permissions') as { actions: string[] }[]
  expect(permissions?.actions).toEqual(
    expect.arrayContaining([
      'Microsoft.Compute/virtualMachines/write',
      'Microsoft.Network/networkInterfaces/write',
    ]),
  )
  const kinds = new Set(permissions?.actions.map((action) => action.split('/').slice(0, 2).join('/')))
  expect([...kinds].sort()).toEqual([
    'Microsoft.Compute/disks',
    'Microsoft.Compute/virtualMachines',
    'Microsoft.Network/networkInterfaces',
  ])
  // What is run on a machine of others, or signs in to it.
  expect(permissions?.actions.filter((action) => /extension|runCommand|login/i.test(action))).toEqual([])
})

/** Whether an identity may do something to a blob, by its grants of blobs and their conditions, as Azure reads them. */
function may(
  who: string,
  action: 'read' | 'write' | 'add/action' | 'delete',
  container: string,
  name: string,
) {
  const dataActionsOf = (id: string): string[] => {
    const definition = usual.of('Authorization/roleDefinitions').find((each) => id.endsWith(each.name))
    const [permissions] = (at(definition?.body, 'properties.permissions') ?? []) as {
      dataActions: string[]
    }[]
    const isReader = id.endsWith('2a2b9908-6ea1-4ae2-8e65-a410df84e7d1')
    return permissions?.dataActions ?? (isReader ? [`${blobs}/read`] : [])
  }
  return usual
    .of('Authorization/roleAssignments')
    .filter(({ id }) => id.includes(`/containers/${container}/`))
    .map(({ body }) => body.properties as Record<string, string | null>)
    .filter(({ principalId }) => principalId === `principal of ff-test-${who}`)
    .filter(({ roleDefinitionId }) => dataActionsOf(String(roleDefinitionId)).includes(`${blobs}/${action}`))
    .some(({ condition }) => condition === null || conditionHolds(String(condition), action, name))
}

const blobs = 'Microsoft.Storage/storageAccounts/blobServices/containers/blobs'

function conditionHolds(condition: string, action: string, name: string): boolean {
  const [, others = '', patterns = '', exceptions = ''] =
    /^\(\((.*)\) OR \(\((.*)\)((?: AND @Resource.*)?)\)\)$/.exec(condition) ?? []
  const isOther = others.split(' AND ').every((each) => !each.includes(`{'${blobs}/${action}'}`))
  const isLike = (each: string, sign: string) => {
    const [, known, pattern = ''] = /^@Resource\[\S+:path\] (\w+) '([\w*/.-]+)'$/.exec(each) ?? []
    if (known !== sign) throw new Error(`${each} is not known`)
    return new RegExp(`^${pattern.replaceAll('.', String.raw`\.`).replaceAll('*', '.*')}$`).test(name)
  }
  const isNamed = patterns.split(' OR ').some((each) => isLike(each, 'StringLike'))
  const isExcepted = exceptions
    .split(' AND ')
    .slice(1)
    .some((each) => isLike(each, 'StringNotLike'))
  return isOther || (isNamed && !isExcepted)
}

const changes = ['write', 'add/action', 'delete'] as const
const logOf = (role: string) => layout.log(role, 'vm', new Date())('2026-11-21', 0)
const workerLog = logOf('worker')

test('a worker writes its segments, adds to logs, and changes nothing else', () => {
  const own = [
    layout.segment('id', 0),
    layout.part('id', 0),
    layout.madeImage('id', 0, 0, 'png'),
    layout.frame('id', 0),
  ]
  for (const change of changes)
    for (const name of own)
      expect([change, name, may('worker', change, 'media', name)]).toEqual([change, name, true])
  expect(may('worker', 'add/action', 'system', workerLog)).toBe(true)
  const others = [
    ...[layout.spec('id'), layout.plan('id'), layout.secret('id'), layout.output('id', 'mp4')],
    // Images may be called by any path.
    ...['frames/1.png', 'segments/1.png'].map((key) => `${layout.images('id')}${key}`),
  ]
  for (const change of changes) {
    for (const name of [...others, layout.openMark('id'), 'in/film.mp4', 'films/segments/a.mp4'])
      expect([change, name, may('worker', change, 'media', name)]).toEqual([change, name, false])
    for (const name of [layout.model('m', '1'), layout.fleetSettings, layout.triggerRules])
      expect([change, name, may('worker', change, 'system', name)]).toEqual([change, name, false])
  }
  for (const change of ['write', 'delete'] as const)
    expect(may('worker', change, 'system', workerLog)).toBe(false)
})

test('a worker reads what it scores, and nothing that others keep for themselves', () => {
  for (const name of [layout.spec('id'), layout.plan('id'), layout.style('id'), 'in/film.mp4'])
    expect(may('worker', 'read', 'media', name)).toBe(true)
  expect(may('worker', 'read', 'system', layout.model('m', '1'))).toBe(true)
  for (const action of ['read', ...changes] as const)
    expect(may('worker', action, 'private', 'jobs/id/request.secret')).toBe(false)
  for (const name of [layout.fleetSettings, layout.triggerRules])
    expect(may('worker', 'read', 'system', name)).toBe(false)
})

test('the other roles do what they do, and no more', () => {
  const secret = 'jobs/id/request.secret'
  for (const action of ['read', ...changes] as const) {
    expect(may('producer', action, 'private', secret)).toBe(true)
    expect(may('stitcher', action, 'private', secret)).toBe(action === 'read' || action === 'delete')
    expect(may('autoscaler', action, 'private', secret)).toBe(false)
  }
  for (const role of ['stitcher', 'autoscaler']) {
    expect(may(role, 'add/action', 'system', logOf(role))).toBe(true)
    for (const change of ['write', 'delete'] as const)
      expect(may(role, change, 'system', logOf(role))).toBe(false)
    expect(may(role, 'read', 'system', layout.model('m', '1'))).toBe(false)
  }
  expect(may('autoscaler', 'read', 'system', layout.fleetSettings)).toBe(true)
  for (const change of changes) expect(may('autoscaler', change, 'system', layout.fleetSettings)).toBe(false)
})

test('nobody reads or adds to what another role has said, but for the producer, which shows it', () => {
  const roles = ['producer', 'worker', 'stitcher', 'autoscaler']
  for (const action of ['read', 'add/action'] as const)
    for (const who of roles)
      for (const other of roles)
        expect([who, other, may(who, action, 'system', logOf(other))]).toEqual([
          ...[who, other, who === other || who === 'producer'],
        ])
})

test('a worker reaches storage, Redis, the registry and the Internet, and no neighbour', () => {
  const outbound = at(
    usual.one('Network/networkSecurityGroups', 'ff-test-net-workers').body,
    'properties.securityRules',
  )
  expect(
    (outbound as { properties: { access: string; destinationAddressPrefix: string } }[])
      .filter((rule) => rule.properties.access === 'Allow')
      .map((rule) => rule.properties.destinationAddressPrefix),
  ).toEqual(['10.60.1.0/26', 'Internet'])
})

describe('the policy that keeps machines what they are', () => {
  const rule = at(usual.one('Authorization/policyDefinitions').body, 'properties.policyRule.if')
  const fleet = usual.one(fleetType)
  const profile = 'properties.virtualMachineProfile'
  const changed = (path: string, value: unknown) => {
    const body = structuredClone(fleet.body)
    const names = path.split('.')
    const last = names.pop() ?? ''
    const holder = at(body, names.join('.')) as Record<string, unknown>
    holder[last] = value
    return { type: fleet.type, body }
  }

  test('is a policy that Azure knows all names of, of sets and of machines', () => {
    const named = [...JSON.stringify(rule).matchAll(/"field":"([^"]+)"/g)].map(([, field = '']) => field)
    const types = ['virtualMachineScaleSets', 'virtualMachines']
    expect(new Set(named.filter((field) => field.endsWith('disablePasswordAuthentication')))).toEqual(
      new Set(
        types.map(
          (type) => `Microsoft.Compute/${type}/osProfile.linuxConfiguration.disablePasswordAuthentication`,
        ),
      ),
    )
  })

  test('takes what is deployed, and any number of it', () => {
    expect(holds(rule, fleet)).toBe(false)
    expect(holds(rule, changed('sku.capacity', 100))).toBe(false)
  })

  test.each([
    ['another size', 'sku.name', 'Standard_ND96isr_H100_v5'],
    ['another publisher', `${profile}.storageProfile.imageReference.publisher`, 'mallory'],
    ['an older kind of the image', `${profile}.storageProfile.imageReference.sku`, '1804'],
    ['another image', `${profile}.storageProfile.imageReference`, { id: '/subscriptions/x/images/y' }],
    ['an extension', `${profile}.extensionProfile`, { extensions: [{ name: 'run this' }] }],
    ['passwords', `${profile}.osProfile.linuxConfiguration.disablePasswordAuthentication`, false],
  ])('denies %s', (_, path, value) => {
    expect(holds(rule, changed(path, value))).toBe(true)
  })

  // What Azure makes of a flexible set, and what its autoscaler may make beside it.
  const machine = (path = 'priority', value: unknown = 'Spot') => {
    const { body } = changed(`${profile}.${path}`, value)
    const { sku, properties } = body as { sku: { name: string }; properties: object }
    return {
      type: 'Microsoft.Compute/virtualMachines',
      body: {
        properties: {
          hardwareProfile: { vmSize: sku.name },
          ...(at(properties, 'virtualMachineProfile') as object),
        },
      },
    }
  }

  test("takes the set's own machines", () => {
    expect(holds(rule, machine())).toBe(false)
  })

  test.each([
    ['another size', 'hardwareProfile', { vmSize: 'Standard_ND96isr_H100_v5' }],
    ['another image', 'storageProfile.imageReference', { id: '/subscriptions/x/images/y' }],
    ["a disk of one's own", 'storageProfile.imageReference', null],
    ['passwords', 'osProfile.linuxConfiguration.disablePasswordAuthentication', false],
  ])('denies a machine with %s', (_, path, value) => {
    expect(holds(rule, machine(path, value))).toBe(true)
  })

  test.each(['virtualMachines', 'virtualMachineScaleSets'])('denies extensions of %s', (type) => {
    expect(holds(rule, { type: `Microsoft.Compute/${type}/extensions`, body: {} })).toBe(true)
  })

  test('no longer denies where that is chosen, whatever was chosen before', () => {
    const modes = ['usual', 'open to the Internet, with a share'] as const
    expect(
      modes.map((name) =>
        at(choices[name].one('Authorization/policyAssignments').body, 'properties.enforcementMode'),
      ),
    ).toEqual(['Default', 'DoNotEnforce'])
  })
})

import { join } from 'node:path'
import { type Live, type Resource, expand } from './bicep/expand.ts'
import type { Fields } from './bicep/functions.ts'

export const deployDir = join(import.meta.dirname, '../../deploy')

/** Of a deployment that is there, with seven machines; `generation` tells identities from those that had their names before. */
const live =
  (generation: string): Live =>
  ({ type, name }) =>
    type === 'Microsoft.ManagedIdentity/userAssignedIdentities'
      ? {
          properties: {
            clientId: `client of ${name}${generation}`,
            principalId: `principal of ${name}${generation}`,
          },
        }
      : (lives[type]?.(name) ?? {})

/** The address of Application Insights: what it calls a key opens nothing where its own sign-in is off. */
export const traces = 'InstrumentationKey=33333333;IngestionEndpoint=https://traces.example/'

const lives: Record<string, (name: string) => Fields> = {
  'Microsoft.Storage/storageAccounts': (name) => ({
    properties: {
      primaryEndpoints: {
        blob: `https://${name}.blob.core.windows.net/`,
        queue: `https://${name}.queue.core.windows.net/`,
      },
    },
  }),
  'Microsoft.Insights/components': () => ({ properties: { ConnectionString: traces } }),
  'Microsoft.Cache/redisEnterprise': (name) => ({ properties: { hostName: `${name}.redis.azure.net` } }),
  'Microsoft.EventGrid/systemTopics': () => ({ identity: { principalId: 'principal of ff-test-events' } }),
  'Microsoft.ContainerRegistry/registries': (name) => ({ properties: { loginServer: `${name}.azurecr.io` } }),
  'Microsoft.Insights/dataCollectionEndpoints': () => ({
    properties: { metricsIngestion: { endpoint: 'https://in.example' } },
  }),
  'Microsoft.Insights/dataCollectionRules': () => ({ properties: { immutableId: 'dcr-1' } }),
  'Microsoft.App/managedEnvironments': () => ({
    properties: { defaultDomain: 'apps.example', staticIp: '10.60.0.9' },
  }),
  'Microsoft.Compute/virtualMachineScaleSets': () => ({ sku: { capacity: 7 } }),
}

const needed = {
  ...{ environmentName: 'test', location: 'westeurope', fleetExists: true, imageTag: '1.2.3' },
  ...{ sshPublicKey: 'ssh-ed25519 AAAA', emails: ['who@example.com'], monthlyBudget: 100 },
  ...{ budgetStart: '2026-11-01', apiAudience: 'our-application' },
}

/** All that is deployed with these parameters, besides those that have no default. */
export function deploy(params: Fields = {}, others: Fields = needed, generation = '') {
  const told = { ...others, ...params }
  const { resources, outputs } = expand(join(deployDir, 'main.bicep'), told, live(generation))
  const of = (type: string) => resources.filter((each) => each.type === `Microsoft.${type}`)
  return { resources, outputs, of, one: (type: string, name?: string) => only(of(type), name) }
}

function only(found: Resource[], name?: string): Resource {
  const [one, ...more] = name === undefined ? found : found.filter((each) => each.name === name)
  if (one === undefined || more.length > 0)
    throw new Error(`one is wanted: ${found.map(({ id }) => id).join(', ')}`)
  return one
}

/** A part of a resource, by the names on the way. */
export const at = (of: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((value, key) => (value as Fields | undefined)?.[key], of)

/** Settings of a container app. */
export function settingsOf(app: Resource): Record<string, string> {
  const [container] = at(app.body, 'properties.template.containers') as {
    env: { name: string; value: string }[]
  }[]
  return Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]))
}

/** What machines do at their first start: the files that they are given, by path, and the programs that are run. */
export function firstStart(fleet: Resource) {
  const data = String(at(fleet.body, 'properties.virtualMachineProfile.osProfile.customData'))
  const [first, ...rest] = Buffer.from(data, 'base64').toString('utf8').split('\n')
  if (first !== '#cloud-config') throw new Error('cloud-init would not read this')
  const { write_files: files, runcmd: programs } = JSON.parse(rest.join('\n')) as {
    write_files: { path: string; permissions: string; content: string }[]
    runcmd: string[][]
  }
  return { programs, files: Object.fromEntries(files.map(({ path, ...file }) => [path, file])) }
}

/** Lines `NAME=value`, as Docker and bash read them. */
export const linesOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )

/** What holds, holds whatever is chosen. */
export const choices = {
  usual: deploy(),
  'first, without images': deploy({ fleetExists: false, imageTag: '' }),
  'uniform, at full price': deploy({ orchestrationMode: 'Uniform', priority: 'Regular', gpu: 'a100' }),
  'open to the Internet, with a share': deploy({
    ...{ publicApi: true, apiAddresses: ['192.0.2.0/24'], builderAddresses: ['192.0.2.1'] },
    ...{ clientAddresses: ['10.1.0.0/24', '10.2.0.0/24'], adminAddresses: ['10.3.0.0/28'] },
    ...{ scratchGiB: 1024, gpu: 'h100', guardFleet: false, keepJobsDays: 90 },
  }),
}

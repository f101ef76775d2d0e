import { type Fields, type Value, isFields } from './bicep/functions.ts'
import type { Resource } from './bicep/expand.ts'

const sets = 'Microsoft.Compute/virtualMachineScaleSets'
const machines = 'Microsoft.Compute/virtualMachines'
const profile = 'properties.virtualMachineProfile'
const password = 'osProfile.linuxConfiguration.disablePasswordAuthentication'

const imageAliases = (properties: string): Record<string, string> => ({
  'Microsoft.Compute/imageId': `${properties}.storageProfile.imageReference.id`,
  'Microsoft.Compute/imagePublisher': `${properties}.storageProfile.imageReference.publisher`,
  'Microsoft.Compute/imageOffer': `${properties}.storageProfile.imageReference.offer`,
  'Microsoft.Compute/imageSKU': `${properties}.storageProfile.imageReference.sku`,
})

/**
 * Azure's names for fields of a type, of those that policies of ours speak of, as Azure lists them (`az provider show
 * --namespace Microsoft.Compute --expand resourceTypes/aliases`): a policy with any other name is refused.
 */
const aliases: Record<string, Record<string, string>> = {
  [sets]: {
    ...imageAliases(profile),
    [`${sets}/sku.name`]: 'sku.name',
    [`${sets}/extensionProfile.extensions[*]`]: `${profile}.extensionProfile.extensions`,
    [`${sets}/${password}`]: `${profile}.${password}`,
  },
  [machines]: {
    ...imageAliases('properties'),
    [`${machines}/sku.name`]: 'properties.hardwareProfile.vmSize',
    [`${machines}/${password}`]: `properties.${password}`,
  },
}

/** Whether the `if` of a policy is true of a resource; throws on what it does not know. */
export function holds(condition: Value, resource: Pick<Resource, 'type' | 'body'>): boolean {
  if (!isFields(condition)) throw new Error('no condition')
  const { allOf, anyOf, field, count, equals, notEquals, greater } = condition
  if (Array.isArray(allOf)) return allOf.every((each) => holds(each, resource))
  if (Array.isArray(anyOf)) return anyOf.some((each) => holds(each, resource))
  if (isFields(count)) return ((read(count.field, resource) ?? []) as Value[]).length > Number(greater)
  const value = read(field, resource)
  if (equals !== undefined) return same(value, equals)
  if (notEquals !== undefined) return !same(value, notEquals)
  throw new Error(`${JSON.stringify(condition)} is not known`)
}

function read(field: Value, { type, body }: Pick<Resource, 'type' | 'body'>): Value {
  if (field === 'type') return type
  const path = aliases[type]?.[String(field)]
  if (path === undefined) throw new Error(`${String(field)} is not known`)
  return path.split('.').reduce<Value>((of, key) => (of as Fields | undefined)?.[key], body)
}

/** Case means nothing to it. */
const same = (a: Value, b: Value) => String(a).toLowerCase() === String(b).toLowerCase()

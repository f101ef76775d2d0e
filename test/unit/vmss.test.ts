import { expect, test } from 'vitest'
import { parseVmssId } from '../../src/autoscaler/fleets/vmss-arm.ts'
import { explain, refusalOf, roomLeft } from '../../src/autoscaler/fleets/vmss-errors.ts'
import { machineState } from '../../src/autoscaler/fleets/vmss-instances.ts'

const machine = (provisioningState: string, power?: string) =>
  machineState({
    ...{ location: 'westeurope', provisioningState },
    instanceView: {
      statuses: [{ code: 'ProvisioningState/x' }, ...(power ? [{ code: `PowerState/${power}` }] : [])],
    },
  })

test.each([
  ['Creating', undefined, 'starting'],
  ['Creating', 'running', 'starting'],
  ['Updating', undefined, 'starting'],
  ['Succeeded', 'starting', 'starting'],
  ['Succeeded', 'running', 'running'],
  ['Updating', 'running', 'running'],
  ['Failed', 'running', 'running'],
  ['Failed', undefined, 'failed'],
  ['Failed', 'unknown', 'failed'],
  ['Succeeded', 'stopped', 'failed'],
  ['Succeeded', 'stopping', 'leaving'],
  ['Succeeded', 'deallocating', 'leaving'],
  ['Deleting', 'running', 'leaving'],
  ['Succeeded', 'deallocated', 'evicted'],
  ['Failed', 'deallocated', 'evicted'],
])('a machine that is %s, with power %s, is %s', (provisioning, power, state) => {
  expect(machine(provisioning, power)).toBe(state)
})

const rest = (statusCode: number, code: string, message: string) =>
  Object.assign(new Error(message), { name: 'RestError', statusCode, code })
const quota = (numbers: string) =>
  rest(
    409,
    'OperationNotAllowed',
    `Operation could not be completed as it results in exceeding quota. ${numbers}`,
  )

test.each([
  ['Current Limit: 100, Current Usage: 96, Additional Required: 64', 16, 1],
  ['Maximum allowed: 1000, Current in use: 986, Additional requested: 72', 9, 1],
  ['Current Limit: 100, Current Usage: 100, Additional Required: 4', 1, 0],
  ['Current Limit: 100, Current Usage: 120, Additional Required: 4', 1, 0],
  // Never as many as were refused just now.
  ['Current Limit: 100, Current Usage: 0, Additional Required: 4', 1, 0],
  ['no numbers', 9, 4],
  ['no numbers', 1, 0],
])('of a quota with %s there is room for some of %i machines: %i', (numbers, asked, fit) => {
  expect(roomLeft(quota(numbers), asked)).toBe(fit)
})

test.each([
  ['SkuNotAvailable', 409],
  ['AllocationFailed', 409],
  ['ZonalAllocationFailed', 409],
  ['OverconstrainedZonalAllocationRequest', 409],
  ['QuotaExceeded', 400],
  ['AuthorizationFailed', 403],
])('%s lets growth wait', (code, status) => {
  const refusal = refusalOf(rest(status, code, 'It is so.'), 'fleet')
  expect(refusal?.message).toContain(code)
  expect(refusal?.retryAfterMs).toBeGreaterThanOrEqual(60_000)
  expect(roomLeft(rest(400, 'AllocationFailed', 'It is so.'), 8)).toBe(0)
})

test('what is said of an error is one line, without links and secrets; what may pass by itself is told apart', () => {
  const { message } = explain(
    rest(
      400,
      'BadRequest',
      'It is\n so: Bearer abcdefghijklmnopqrstuvwxyz. Read more at https://aka.ms/x?sig=abc.',
    ),
    'fleet',
  )
  expect(message).toBe("Azure's answer about the scale set fleet: BadRequest It is so: Bearer ***")
  expect(refusalOf(rest(409, 'OperationNotAllowed', 'The set is being deleted.'), 'fleet')).toBeUndefined()
  expect(explain(rest(503, 'Busy', 'x'.repeat(5_000)), 'fleet').message.length).toBeLessThan(400)
  expect(explain(rest(503, 'Busy', 'Later.'), 'fleet').name).toBe('TransientError')
  expect(explain(rest(400, 'BadRequest', 'No.'), 'fleet').name).toBe('Error')
  const unable = Object.assign(new Error('Several\nlines: AADSTS7000215: Invalid client secret.'), {
    name: 'CredentialUnavailableError',
  })
  expect(explain(unable, 'fleet').message).toMatch(
    /^There is no credential for Azure \(AADSTS7000215\): give/,
  )
})

test('the id of a scale set is taken in any case of its letters, and nothing else is', () => {
  const id = '/subscriptions/s-1/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/fleet'
  expect(parseVmssId(id.toLowerCase())).toEqual({ subscription: 's-1', group: 'g', name: 'fleet' })
  for (const wrong of ['', `${id}/virtualMachines/1`, id.replace('ScaleSets', 's'), `https://x${id}`]) {
    expect(() => parseVmssId(wrong)).toThrow('FRAMEFLEET_VMSS_ID must be the id of a scale set')
  }
})

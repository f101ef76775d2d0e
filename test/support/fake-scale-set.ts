/** What goes on inside a scale set: machines, and operations that end when the test says so. */

export type FakeScaleSetOptions = {
  capacity?: number
  orchestrationMode?: 'Uniform' | 'Flexible'
  /** "Azure Spot Virtual Machines for Virtual Machine Scale Sets": Deallocate keeps evicted machines, Delete does not. */
  evictionPolicy?: 'Deallocate' | 'Delete'
  /** Cores that the subscription may have in all; a machine has four. */
  coreQuota?: number
  /** The capacity counts deleted machines until they are gone (seen in kubernetes/autoscaler 3510). */
  goalLags?: boolean
}

type Vm = { id: number; provisioning: string; power?: string; protected: boolean; made: string }
type Failure = { code: string; message: string; details?: object[] }
export type FakeOperation = {
  state: 'InProgress' | 'Succeeded' | 'Failed' | 'Canceled'
  error?: Failure
  end: () => void
}

/** An answer that is an error, as Azure words it. */
export class ArmError extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

const coresEach = 4
const nameOf = ({ id }: Vm) => `fleet_${id}`

export function createFakeScaleSet({
  capacity = 0,
  orchestrationMode = 'Uniform',
  evictionPolicy = 'Delete',
  coreQuota = 1_000,
  goalLags = false,
}: FakeScaleSetOptions) {
  const sku = { name: 'Standard_NC4as_T4_v3', tier: 'Standard', capacity: 0 }
  const operations = new Map<string, FakeOperation>()
  let version = 1
  let nextId = 0
  let vms: Vm[] = []
  let allocation: { room: number; keepsRest: boolean; failure: Failure } | undefined

  const pending = () => [...operations.values()].filter(({ state }) => state === 'InProgress')
  const begin = (end: () => void, error?: Failure) => {
    const id = `operation-${operations.size + 1}`
    operations.set(id, { state: 'InProgress', error, end })
    version += 1
    return id
  }
  const make = (count: number) => {
    const made = new Date().toISOString()
    const born = Array.from({ length: Math.max(0, count) }, (): Vm => {
      return { id: nextId++, provisioning: 'Creating', protected: false, made }
    })
    vms.push(...born)
    return born
  }
  const start = (vm: Vm) => Object.assign(vm, { provisioning: 'Succeeded', power: 'running' })
  const find = (name: string) => {
    const vm = vms.find((each) => nameOf(each) === name)
    if (vm === undefined) throw new Error(`There is no ${name}`)
    return vm
  }
  const drop = (gone: Vm[]) => {
    vms = vms.filter((vm) => !gone.includes(vm))
  }

  for (const vm of make(capacity)) start(vm)
  sku.capacity = capacity

  return {
    operations,
    etag: () => `"${version}"`,
    capacity: () => sku.capacity,
    names: () => vms.map(nameOf),

    /** "Virtual Machine Scale Sets - Get"; it has an etag. */
    json: () => ({
      ...{ sku, etag: `"${version}"`, location: 'westeurope' },
      properties: {
        // What a set has unless one says otherwise.
        ...{ orchestrationMode, overprovision: true },
        provisioningState: pending().length > 0 ? 'Updating' : 'Succeeded',
        virtualMachineProfile: { priority: 'Spot', evictionPolicy },
      },
    }),

    /** "Virtual Machine Scale Set VMs - List": the instance view only when it is asked for. */
    machines: (withView: boolean) =>
      vms.map((vm) => ({
        ...{ name: nameOf(vm), instanceId: String(vm.id), location: 'westeurope' },
        properties: {
          ...{ provisioningState: vm.provisioning, timeCreated: vm.made },
          ...(withView && {
            instanceView: {
              statuses: [
                { code: `ProvisioningState/${vm.provisioning.toLowerCase()}`, level: 'Info' },
                ...(vm.power === undefined ? [] : [{ code: `PowerState/${vm.power}`, level: 'Info' }]),
              ],
            },
          }),
        },
      })),

    /** "Virtual Machine Scale Sets - Update" of the capacity: begins, and the machines come later. */
    resize(wanted: number): string {
      const more = wanted - sku.capacity
      const used = vms.length * coresEach
      // "Resolve errors for resource quotas": said at once, and of the whole request.
      if (more > 0 && used + more * coresEach > coreQuota) {
        const numbers = `Current Limit: ${coreQuota}, Current Usage: ${used}, Additional Required: ${more * coresEach}`
        const link = 'https://aka.ms/ProdportalCRP/#blade/Microsoft_Azure_Capacity/UsageAndQuota.ReactView'
        throw new ArmError(
          409,
          'OperationNotAllowed',
          `Operation could not be completed as it results in exceeding approved LowPriorityCores quota. Additional details - Deployment Model: Resource Manager, Location: westeurope, ${numbers}. Submit a request for Quota increase at ${link}.`,
        )
      }
      // A newer request takes the place of an older one, which is told `OperationPreempted`.
      for (const older of pending()) {
        older.end()
        older.state = 'Canceled'
      }
      sku.capacity = wanted
      // Lowered by a request, Azure itself chooses who goes.
      if (vms.length > wanted) vms = vms.slice(0, wanted)
      const { room = Infinity, keepsRest = true, failure } = allocation ?? {}
      allocation = undefined
      const born = make(wanted - vms.length)
      return begin(
        () => {
          for (const vm of born.slice(0, room)) start(vm)
          for (const vm of born.slice(room)) vm.provisioning = 'Failed'
          if (!keepsRest) drop(born.slice(room))
        },
        born.length > room ? failure : undefined,
      )
    },

    /** "Virtual Machine Scale Sets - Delete Instances": all ids are taken, or none. */
    delete(ids: string[]): string {
      const chosen = ids.map((id) => {
        const vm = vms.find((each) => String(each.id) === id)
        if (vm !== undefined && vm.provisioning !== 'Deleting') return vm
        // Seen in microsoft/onefuzz 2547, and many others.
        throw new ArmError(
          400,
          'InvalidParameter',
          `The provided instanceId ${id} is not an active Virtual Machine Scale Set VM instanceId.`,
        )
      })
      // "Instance protection": the operation fails for a protected machine, and for it alone.
      const stay = chosen.filter((vm) => vm.protected)
      const go = chosen.filter((vm) => !vm.protected)
      for (const vm of go) vm.provisioning = 'Deleting'
      if (!goalLags) sku.capacity -= go.length
      const details = stay.map(({ id }) => ({
        code: 'OperationNotAllowed',
        target: String(id),
        message: `Instance ${id} is protected from scale set actions.`,
      }))
      const message = details.map((each) => each.message).join(' ')
      return begin(
        () => {
          drop(go)
          if (goalLags) sku.capacity -= go.length
        },
        stay.length > 0 ? { code: 'OperationNotAllowed', message, details } : undefined,
      )
    },

    /** All that is under way ends. */
    settle() {
      for (const operation of pending()) {
        operation.end()
        operation.state = operation.error === undefined ? 'Succeeded' : 'Failed'
        version += 1
      }
    },
    /** As `az vmss scale`, or the portal, by somebody else. */
    setCapacity(to: number) {
      sku.capacity = to
      for (const vm of make(to - vms.length)) start(vm)
      version += 1
    },
    /** Takes a spot machine away, as the set's policy says. */
    evict(name: string) {
      const vm = find(name)
      version += 1
      if (evictionPolicy === 'Deallocate') {
        vm.power = 'deallocated'
        return
      }
      // The capacity goes down with it (seen in poseidon/typhoon 1567).
      drop([vm])
      sku.capacity -= 1
    },
    /** Its latest change has failed; what it does now is its power. */
    fail(name: string, power?: string) {
      Object.assign(find(name), { provisioning: 'Failed', power })
    },
    protect(name: string) {
      find(name).protected = true
    },
    /** Of the machines of the next growth only so many are allocated, and the operation fails later. */
    runOut(room: number, { keepsRest = true } = {}) {
      const message =
        'Allocation failed. VM(s) with the following constraints cannot be allocated, because the condition is too restrictive.'
      allocation = { room, keepsRest, failure: { code: 'OverconstrainedAllocationRequest', message } }
    },
  }
}

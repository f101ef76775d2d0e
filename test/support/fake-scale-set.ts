/** What goes on inside a scale set: machines, and operations that end when the test says so. */

export type FakeScaleSetOptions = {
  capacity?: number
  orchestrationMode?: 'Uniform' | 'Flexible'
  priority?: 'Spot' | 'Regular'
  /** "Azure Spot Virtual Machines for Virtual Machine Scale Sets": Deallocate keeps evicted machines, Delete does not. */
  evictionPolicy?: 'Deallocate' | 'Delete'
  /** Cores that the subscription may have in all; a machine has four. */
  coreQuota?: number
  /**
   * What becomes of the capacity as machines are deleted: it falls at once, or `lags` until they are gone (seen in
   * kubernetes/autoscaler 3510). That it `stays`, as where they are deleted one by one, we have not seen of a flexible set
   * and can't rule out.
   */
  goalOfDeleted?: 'falls' | 'lags' | 'stays'
  /** It ends at 100 machines instead of 1,000. */
  singlePlacementGroup?: boolean
}

type Vm = {
  id: number
  provisioning: string
  power?: string
  protected: boolean
  stuck?: boolean
  made: string
}
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
export function createFakeScaleSet({
  capacity = 0,
  orchestrationMode = 'Uniform',
  priority = 'Spot',
  evictionPolicy = 'Delete',
  coreQuota = 1_000,
  goalOfDeleted = 'falls',
  singlePlacementGroup = false,
}: FakeScaleSetOptions) {
  const sku = { name: 'Standard_NC4as_T4_v3', tier: 'Standard', capacity: 0 }
  const isFlexible = orchestrationMode === 'Flexible'
  // "Understand names and instance IDs": a number, or eight characters, and then the id is the name.
  const nameOf = ({ id }: Vm) => `fleet_${isFlexible ? (0xa0b1c2d3 + id * 7_919).toString(16) : id}`
  const idOf = (vm: Vm) => (isFlexible ? nameOf(vm) : String(vm.id))
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
    vms = vms.filter((vm) => vm.stuck === true || !gone.includes(vm))
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
        ...{ orchestrationMode, overprovision: true, singlePlacementGroup },
        provisioningState: pending().length > 0 ? 'Updating' : 'Succeeded',
        virtualMachineProfile: { priority, ...(priority === 'Spot' && { evictionPolicy }) },
      },
    }),

    /** "Virtual Machine Scale Set VMs - List", "Virtual Machines - List": the instance view only when it is asked for. */
    machines: (withView: boolean) =>
      vms.map((vm) => ({
        ...{ name: nameOf(vm), location: 'westeurope', ...(!isFlexible && { instanceId: idOf(vm) }) },
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
      const largest = singlePlacementGroup ? 100 : 1_000
      if (wanted > largest) {
        const message = `The value of parameter sku.capacity is not valid: at most ${largest}.`
        throw new ArmError(400, 'InvalidParameter', message)
      }
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
      // Lowered by a request, Azure itself chooses who goes. A flexible set takes and makes the difference between the old
      // number and the new, whatever is there (seen in dataplat/dbatools 10540).
      const counted = vms.filter((vm) => goalOfDeleted !== 'falls' || vm.provisioning !== 'Deleting').length
      const less = isFlexible ? -more : counted - wanted
      if (less > 0) vms = vms.slice(0, Math.max(0, vms.length - less))
      const { room = Infinity, keepsRest = true, failure } = allocation ?? {}
      allocation = undefined
      const born = make(isFlexible ? more : wanted - counted)
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
        const vm = vms.find((each) => idOf(each) === id)
        if (vm !== undefined && vm.provisioning !== 'Deleting') return vm
        // "Common deployment errors", of a resource; what a flexible set says we have not seen.
        if (isFlexible) {
          const resource = `Microsoft.Compute/virtualMachines/${id}`
          const message = `The Resource '${resource}' under resource group 'fleet-rg' was not found.`
          throw new ArmError(404, 'ResourceNotFound', message)
        }
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
      if (goalOfDeleted === 'falls') sku.capacity -= go.length
      const details = stay.map((vm) => ({
        code: 'OperationNotAllowed',
        target: idOf(vm),
        message: `Instance ${idOf(vm)} is protected from scale set actions.`,
      }))
      const message = details.map((each) => each.message).join(' ')
      return begin(
        () => {
          drop(go)
          if (goalOfDeleted === 'lags') sku.capacity -= go.length
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
      const more = to - (isFlexible ? sku.capacity : vms.length)
      sku.capacity = to
      for (const vm of make(more)) start(vm)
      if (more < 0) vms = vms.slice(0, Math.max(0, vms.length + more))
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
      drop([vm])
      // The capacity goes down with it (seen in poseidon/typhoon 1567); that of a flexible set does not (dataplat/dbatools 10540).
      if (!isFlexible) sku.capacity -= 1
    },
    /** So many machines went in the past without anybody's asking the set. */
    countGone(count: number) {
      sku.capacity += count
      version += 1
    },
    /** Its latest change has failed; what it does now is its power. */
    fail(name: string, power?: string) {
      Object.assign(find(name), { provisioning: 'Failed', power })
    },
    /** Once it is to be deleted it never ends. */
    stick(name: string) {
      find(name).stuck = true
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

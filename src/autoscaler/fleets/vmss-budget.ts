/**
 * How often Azure may be asked: a bucket of requests that fills up again, as Azure's own. It counts for each scale set
 * and minute (learn.microsoft.com, "Compute throttling limits"): 12 gets, 10 costly gets, 4 updates, 4 deletions and 15
 * looks at an operation, and three times as many at once. A quarter is left to people and other programs.
 */
const armLimits = {
  get: { perMinute: 9, burst: 27 },
  list: { perMinute: 7.5, burst: 22 },
  // Virtual machines are counted for the subscription and region, 300 a minute for all that ask: a tenth is enough.
  listVms: { perMinute: 30, burst: 90 },
  update: { perMinute: 3, burst: 9 },
  delete: { perMinute: 3, burst: 9 },
  operation: { perMinute: 11, burst: 33 },
}
export type ArmLimits = typeof armLimits

export type Budget = ReturnType<typeof createBudget>

function createBudget({ perMinute, burst }: { perMinute: number; burst: number }, now = Date.now) {
  let left = burst
  let at = now()
  const fill = () => {
    const time = now()
    left = Math.min(burst, left + (Math.max(0, time - at) / 60_000) * perMinute)
    at = time
  }
  return {
    /** Whether one may go out now, with so many left for what is more urgent. */
    take(reserve = 0): boolean {
      fill()
      if (left < 1 + reserve) return false
      left -= 1
      return true
    },
    /** One went out that could not be held back, such as a further page: later ones make up for it. */
    spend() {
      fill()
      left -= 1
    },
    waitMs(): number {
      fill()
      return left >= 1 ? 0 : Math.ceil(((1 - left) / perMinute) * 60_000)
    },
  }
}

export function createBudgets(limits: ArmLimits = armLimits, now = Date.now) {
  return {
    get: createBudget(limits.get, now),
    list: createBudget(limits.list, now),
    listVms: createBudget(limits.listVms, now),
    update: createBudget(limits.update, now),
    delete: createBudget(limits.delete, now),
    operation: createBudget(limits.operation, now),
  }
}

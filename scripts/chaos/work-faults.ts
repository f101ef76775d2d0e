import { type Fault, atOnce } from './fault.ts'
import { garbage } from './garbage.ts'

/** Kinds of garbage that are left together. */
const atATime = 3

/** Faults that come with the work itself: what is asked for, and what somebody put on the queues. */
export const workFaults = {
  garbage: {
    place: 'redis',
    lasts: atOnce,
    async strike({ redis, prefix, evidence }, random) {
      const kinds = Object.entries(garbage)
      const first = random.int(0, kinds.length - 1)
      const said: string[] = []
      for (const [what, leave] of [...kinds, ...kinds].slice(first, first + atATime)) {
        const left = await leave({ redis, prefix, name: `garbage-${random.int(1, 2 ** 30)}` })
        if (!left) continue
        evidence.injected({ what, ...left })
        said.push(`${what} (${left.queue} ${left.entry})`)
      }
      return said.length === 0 ? undefined : { what: said.join(', ') }
    },
  },
  poison: {
    place: 'work',
    lasts: atOnce,
    async strike({ customers, orders }) {
      // Each of them in turn, so that all of them have been asked for in a storm that is long enough.
      const asked = customers.tickets.filter(({ order }) => order.poison !== undefined).length
      const order = orders.poison[asked % orders.poison.length]
      if (!order) return undefined
      customers.ask(order)
      return { what: order.name }
    },
  },
  cancel: {
    place: 'work',
    lasts: atOnce,
    async strike({ customers }, random) {
      const candidates = customers.underWay().filter(({ order }) => order.poison === undefined)
      const ticket = candidates[random.int(0, Math.max(0, candidates.length - 1))]
      const id = ticket && (await customers.cancel(ticket))
      return id === undefined ? undefined : { what: id }
    },
  },
} satisfies Record<string, Fault>

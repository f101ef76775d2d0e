import { type Fault, atOnce } from './fault.ts'
import { garbage } from './garbage.ts'

/** Faults that come with the work itself: what is asked for, and what somebody put on the queues. */
export const workFaults = {
  garbage: {
    place: 'redis',
    lasts: atOnce,
    async strike({ redis, prefix, evidence }, random) {
      const kinds = Object.keys(garbage)
      const kind = kinds[random.int(0, kinds.length - 1)] ?? ''
      const left = await garbage[kind]?.({ redis, prefix, name: `garbage-${random.int(1, 2 ** 30)}` })
      if (!left) return undefined
      evidence.injected({ what: kind, ...left })
      return { what: `${kind} on ${left.queue}: ${left.entry}` }
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

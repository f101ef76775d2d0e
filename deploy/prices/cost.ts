import { z } from 'zod'

const price = z.number().positive()
/** Where a price was read; null is an example to be replaced. */
const from = z.url({ protocol: /^https$/ }).nullable()

const secondsAMonth = 730 * 3_600
const timesAMonth = { second: secondsAMonth, hour: 730, day: 730 / 24, month: 1 }

/** One dated file of prices. Of what is at rest: how many of it there are, and what one costs in which time. */
export const Prices = z.strictObject({
  date: z.iso.date(),
  currency: z.string().length(3),
  region: z.string(),
  atRest: z.array(
    z.strictObject({
      thing: z.string(),
      count: z.number().positive(),
      price,
      per: z.enum(['second', 'hour', 'day', 'month']),
      from,
    }),
  ),
  /** What an hour of a machine costs, by preset. */
  machines: z.record(z.string(), z.strictObject({ regular: price, spot: price, from })),
})
export type Prices = z.infer<typeof Prices>

/** What a month costs in which nothing is scored, by thing. A month has 730 hours; what Azure gives for nothing is not counted. */
export const restingMonth = ({ atRest }: Prices): { thing: string; cost: number; isExample: boolean }[] =>
  atRest.map(({ thing, count, price, per, from }) => ({
    thing,
    cost: count * price * timesAMonth[per],
    isExample: from === null,
  }))

type Work = {
  /** What an hour of a machine costs. */
  hourPrice: number
  workersPerMachine: number
  /** Of the video. */
  framesPerSecond: number
  /** That one worker scores, of this model at this size: as the fleet measured it. */
  scoredPerSecond: number
  /** Of the machines' time, from when they are paid for until they go, the part in which they score. */
  busyShare: number
}

/** What one hour of video costs at the machines: the seconds that a frame takes, times its frames, paid by the hour. */
export function videoHour({ hourPrice, workersPerMachine, framesPerSecond, ...work }: Work): number {
  const frames = framesPerSecond * 3_600
  const machineSeconds = frames / (work.scoredPerSecond * workersPerMachine) / work.busyShare
  return (machineSeconds / 3_600) * hourPrice
}

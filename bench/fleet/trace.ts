import { createDraws } from './draws.ts'
import type { Arrival } from './world.ts'

/** How busy each hour of the day is, beside the mean: quiet nights, a morning, a long afternoon with deliveries at its end. */
const hours = [
  0.25, 0.2, 0.2, 0.2, 0.25, 0.4, 0.6, 0.9, 1.3, 1.6, 1.7, 1.6, 1.3, 1.5, 1.7, 1.8, 1.9, 1.8, 1.5, 1.1, 0.8,
  0.6, 0.45, 0.35,
]
const day = 86_400
const fps = 25

/**
 * Who sends what: clips of social media all day, news packages, films and archives that come as a bunch. `share`: of the jobs.
 * Lengths in seconds of video, heavy-tailed between the bounds.
 */
const clients = [
  { name: 'clips', share: 0.5, from: 10, to: 180, shape: 1, burst: 3, priority: 5 },
  { name: 'news', share: 0.25, from: 30, to: 3_600, shape: 0.8, burst: 2, priority: 7 },
  { name: 'trailers', share: 0.12, from: 60, to: 1_200, shape: 0.7, burst: 2, priority: 5 },
  { name: 'episodes', share: 0.09, from: 1_200, to: 5_400, shape: 0.7, burst: 4, priority: 5 },
  { name: 'archive', share: 0.04, from: 600, to: 36_000, shape: 0.5, burst: 6, priority: 3 },
]

/**
 * A day of a media organisation: about `jobs` of them from midnight to midnight, in bursts, at a rate that follows the hour; from
 * clips of ten seconds to films of ten hours. `secondsPerFrame` of one worker. The same seed gives the same day.
 */
export function dayOfArrivals(options: { seed: number; jobs: number; secondsPerFrame: number }): Arrival[] {
  const { seed, jobs, secondsPerFrame } = options
  const total = hours.reduce((sum, weight) => sum + weight, 0)
  const busiest = Math.max(...hours)
  return clients
    .flatMap((client, i) => {
      const draws = createDraws(seed * 1_000 + i)
      const meanBurst = client.burst
      // Bursts at the rate of the busiest hour, of which as many are left out as the hour is quieter.
      const between = ((day * total) / (jobs * client.share * busiest * hours.length)) * meanBurst
      const found: Arrival[] = []
      for (let at = draws.exponential(between); at < day; at += draws.exponential(between)) {
        const kept = draws.next() < (hours[Math.floor(at / 3_600)] as number) / busiest
        // Geometric, so that most bursts are short and some are long.
        const size = 1 + Math.floor(Math.log(1 - draws.next()) / Math.log(1 - 1 / meanBurst))
        for (let k = 0; kept && k < size; k++) {
          const length = draws.pareto(client.from, client.to, client.shape)
          found.push({
            at: Math.min(day, at + k * draws.exponential(20)),
            client: client.name,
            frames: Math.round(length * fps),
            secondsPerFrame,
            priority: client.priority,
          })
        }
      }
      return found
    })
    .toSorted((a, b) => a.at - b.at)
}

import { seeded } from '../../scripts/chaos/seeded.ts'

export type Draws = ReturnType<typeof createDraws>

/** Random numbers of the shapes that the simulation needs; the same in every run with the same seed. */
export function createDraws(seed: number) {
  const { next } = seeded(seed)
  /** Above 0, so that its logarithm exists. */
  const positive = () => 1 - next()

  const normal = () => Math.sqrt(-2 * Math.log(positive())) * Math.cos(2 * Math.PI * next())

  return {
    next,
    /** With the mean `mean`: the time to the next of events that come at random. */
    exponential: (mean: number) => -mean * Math.log(positive()),
    /** With the mean 1 and that coefficient of variation; never negative. */
    around1(cv: number): number {
      if (cv === 0) return 1
      const variance = Math.log(1 + cv * cv)
      return Math.exp(normal() * Math.sqrt(variance) - variance / 2)
    },
    /** Heavy-tailed between two bounds (bounded Pareto): the smaller `shape`, the heavier the tail. */
    pareto(from: number, to: number, shape: number): number {
      const rest = 1 - next() * (1 - (from / to) ** shape)
      return from / rest ** (1 / shape)
    },
  }
}

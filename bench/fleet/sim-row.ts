/** One simulated case. Ratios are to the lower bound: the frames' own seconds at the same price, nothing else. */
export type SimRow = {
  scenario: string
  policy: string
  /** There at the same time, at most. */
  workers: number
  /** Work ÷ (workers × makespan) where the fleet is fixed; else work ÷ what is paid for. */
  efficiency: number
  makespan_s: number
  cost_ratio: number
}

export const rounded = (value: number, digits = 3) => Number(value.toFixed(digits))
export const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

/** The value that a share `at` of them does not exceed. */
export function quantile(values: number[], at: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(at * sorted.length) - 1)] ?? Number.NaN
}

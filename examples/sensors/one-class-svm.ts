/** Rows of numbers, all of one length. */
export type Rows = readonly (readonly number[])[]

export type OneClassSvm = {
  /** The rows that bear the edge, and how much each does: more than 0, `most` at most. */
  vectors: number[][]
  weights: number[]
  rho: number
  gamma: number
}

const kernel = (gamma: number) => (a: readonly number[], b: readonly number[]) => {
  let squares = 0
  for (let k = 0; k < a.length; k++) squares += ((a[k] ?? 0) - (b[k] ?? 0)) ** 2
  return Math.exp(-gamma * squares)
}

/** Above 0 for what is like the rows it was trained on; -1 and 1 are its signs. */
export function decide({ vectors, weights, rho, gamma }: OneClassSvm, row: readonly number[]): number {
  const like = kernel(gamma)
  return vectors.reduce((sum, vector, i) => sum + (weights[i] ?? 0) * like(vector, row), -rho)
}

/**
 * Trains a one-class SVM with an RBF kernel: of the rows, at most the part `nu` lies outside. Minimises ½ wᵀKw where all
 * w are between 0 and 1 and their sum is nu times the rows, by sequential minimal optimisation: of all pairs that which
 * violates the conditions of the optimum most is set right, until none does by more than `tolerance`.
 *
 * At the optimum there is a rho such that a row with no weight has (Kw) >= rho, one with all the weight it may have
 * (Kw) <= rho, and one in between (Kw) = rho. Throws where 100 steps a row don't get there.
 */
export function trainOneClass(
  rows: Rows,
  { nu, gamma, tolerance = 1e-4 }: { nu: number; gamma: number; tolerance?: number },
): OneClassSvm {
  const count = rows.length
  const like = kernel(gamma)
  const column = (i: number) => Float64Array.from(rows, (row) => like(rows[i] ?? [], row))
  const kept = new Map<number, Float64Array>()
  const columnOf = (i: number) => {
    const known = kept.get(i) ?? column(i)
    kept.set(i, known)
    return known
  }
  // Any weights with that sum will do to begin with; these are few, and bring few columns.
  const weights = Float64Array.from(rows, (_, i) => Math.min(1, Math.max(0, nu * count - i)))
  const pull = new Float64Array(count)
  for (const [i, weight] of weights.entries()) if (weight > 0) add(pull, columnOf(i), weight)

  for (let steps = 0; ; steps++) {
    const { up, down } = worstPair(weights, pull)
    const gap = (pull[down] ?? 0) - (pull[up] ?? 0)
    if (gap < tolerance) break
    if (steps > 100 * count) throw new Error(`the SVM is ${gap} from its optimum after ${steps} steps`)
    const [gains, loses] = [columnOf(up), columnOf(down)]
    const curve = Math.max(2 - 2 * (gains[down] ?? 0), 1e-12)
    const step = Math.min(gap / curve, 1 - (weights[up] ?? 0), weights[down] ?? 0)
    weights[up] = settle((weights[up] ?? 0) + step)
    weights[down] = settle((weights[down] ?? 0) - step)
    add(pull, gains, step)
    add(pull, loses, -step)
  }

  const { up, down } = worstPair(weights, pull)
  const bearing = [...weights.keys()].filter((i) => (weights[i] ?? 0) > 0)
  return {
    vectors: bearing.map((i) => [...(rows[i] ?? [])]),
    weights: bearing.map((i) => weights[i] ?? 0),
    rho: ((pull[up] ?? 0) + (pull[down] ?? 0)) / 2,
    gamma,
  }
}

function add(to: Float64Array, column: Float64Array, factor: number): void {
  for (let k = 0; k < to.length; k++) to[k] = (to[k] ?? 0) + factor * (column[k] ?? 0)
}

// What is within rounding of a bound is at it: else it would be moved again and again, by nothing.
const settle = (weight: number) => (weight < 1e-12 ? 0 : weight > 1 - 1e-12 ? 1 : weight)

/** Which weight should grow most, and which should shrink most, of those that can. */
function worstPair(weights: Float64Array, pull: Float64Array): { up: number; down: number } {
  let up = -1
  let down = -1
  for (let i = 0; i < weights.length; i++) {
    const here = pull[i] ?? 0
    if ((weights[i] ?? 0) < 1 && (up === -1 || here < (pull[up] ?? 0))) up = i
    if ((weights[i] ?? 0) > 0 && (down === -1 || here > (pull[down] ?? 0))) down = i
  }
  return { up, down }
}

import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, type Tensor } from 'onnxruntime-node'
import { z } from 'zod'

/** One node that ran: the shapes of what it read and of what it wrote. */
export type Ran = { op: string; inputs: number[][]; output: number[] }

const Shapes = z.array(z.record(z.string(), z.array(z.number())))
const Profile = z.array(
  z.looseObject({
    name: z.string(),
    args: z
      .looseObject({
        op_name: z.string().optional(),
        input_type_shape: Shapes.optional(),
        output_type_shape: Shapes.optional(),
      })
      .optional(),
  }),
)

/**
 * The multiply-adds of a network's convolutions and matrix products for one input, from the shapes of a run.
 * Throws an Error naming the first such operator that it can't count, and the runtime's own errors.
 */
export async function countMultiplyAdds(bytes: Uint8Array, feeds: Record<string, Tensor>): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'framefleet-profile-'))
  try {
    const session = await InferenceSession.create(bytes, {
      enableProfiling: true,
      profileFilePrefix: join(dir, 'profile'),
      // Optimized, nodes are fused into others and constants worked out beforehand.
      graphOptimizationLevel: 'disabled',
    })
    await session.run(feeds)
    session.endProfiling()
    await session.release()
    const [file = ''] = await readdir(dir)
    return multiplyAddsOf(readProfile(JSON.parse(await readFile(join(dir, file), 'utf8'))))
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

function readProfile(json: unknown): Ran[] {
  const shape = (typed: Record<string, number[]> | undefined) => Object.values(typed ?? {})[0] ?? []
  return Profile.parse(json)
    .filter(({ name, args }) => args?.op_name && name.endsWith('_kernel_time'))
    .map(({ args }) => ({
      op: args?.op_name ?? '',
      inputs: (args?.input_type_shape ?? []).map(shape),
      output: shape(args?.output_type_shape?.[0]),
    }))
}

export const multiplyAddsOf = (ran: Ran[]): number => ran.reduce((sum, node) => sum + costOf(node), 0)

function costOf({ op, inputs: [data = [], weights = []], output }: Ran): number {
  switch (op) {
    case 'Conv':
      return product(output) * product(weights.slice(1))
    case 'ConvTranspose':
      return product(data) * product(weights.slice(1))
    case 'MatMul':
      return product(output) * (data.at(-1) ?? 1)
    case 'Gemm':
      // Either matrix may come transposed; what one shares with the output is known, the rest is summed over.
      return product(output) * (product(data) / (output[0] ?? 1))
    default:
      if (/conv|matmul|gemm/i.test(op)) throw new Error(`The work of a ${op} can't be counted yet.`)
      return 0
  }
}

const product = (dims: number[]) => dims.reduce((a, b) => a * b, 1)

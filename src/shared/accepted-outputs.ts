import { z } from 'zod'
import type { BlobStore } from './blob-store.ts'
import { InputError } from './errors.ts'
import type { JobSpec } from './job.ts'
import { layout } from './layout.ts'

const Accepted = z.object({
  v: z.literal(1),
  jobId: z.string(),
  url: z.string().nullable(),
  prefix: z.string().optional(),
})
const Secret = z.object({ jobId: z.string(), query: z.string() })

export type Output = {
  url?: string
  /** With its `?`; empty where none is needed. */
  query: string
  /** Of images: the folder of the media container that they go to. */
  prefix?: string
}

export type AcceptedOutputs = ReturnType<typeof createAcceptedOutputs>

/**
 * Where the outputs of jobs go, as it was accepted, in the private container: neither what it takes to write there nor what
 * the address is can be read or changed by a worker. Names hold the request's hash, so that two requests that came with one
 * key at once don't take each other's.
 */
export function createAcceptedOutputs(hidden: BlobStore) {
  async function namesOf(id: string): Promise<string[]> {
    const names: string[] = []
    try {
      for await (const { name } of hidden.list(layout.accepted(id))) names.push(name)
    } catch (error) {
      // A stitcher that was upgraded first: the container comes with the first producer that keeps anything there.
      if ((error as { statusCode?: number }).statusCode !== 404) throw error
    }
    return names
  }
  async function remove(id: string, isWanted: (name: string) => boolean): Promise<void> {
    const names = (await namesOf(id)).filter(isWanted)
    if (names.length > 0) await hidden.remove(names)
  }
  return {
    /** Before the job's spec is written: a job that is there has its output here. */
    async keep(jobId: string, requestHash: string, { url, query, prefix }: Output): Promise<void> {
      if (query !== '') await hidden.writeJson(layout.outputSecret(jobId, requestHash), { jobId, query })
      const accepted = { v: 1, jobId, url: url ?? null, prefix }
      await hidden.writeJson(layout.acceptedOutput(jobId, requestHash), accepted)
    },
    /**
     * Undefined for a job that was accepted by a version that kept nothing here. Throws InputError where what was kept is of
     * another request than the spec names.
     */
    async of({ id, requestHash }: Pick<JobSpec, 'id' | 'requestHash'>): Promise<Output | undefined> {
      const [accepted, secret] = await Promise.all([
        hidden.readJson(layout.acceptedOutput(id, requestHash), Accepted),
        hidden.readJson(layout.outputSecret(id, requestHash), Secret),
      ])
      // The hash came from where workers may have written: it must lead neither to another job's nor around its own.
      if (accepted?.jobId !== id) {
        if ((await namesOf(id)).length === 0) return undefined
        throw new InputError(
          'output-changed',
          `The job ${id} is not as it was accepted (${layout.spec(id)} was written over): its output goes nowhere. Submit it anew.`,
        )
      }
      const query = secret?.jobId === id ? secret.query : ''
      return { url: accepted.url ?? undefined, query, prefix: accepted.prefix }
    },
    /** At the end of a job. */
    removeSecrets: async (id: string) => await remove(id, isOutputSecret),
    removeJob: async (id: string) => await remove(id, () => true),
  }
}

export const isOutputSecret = (name: string) => name.endsWith('.secret')

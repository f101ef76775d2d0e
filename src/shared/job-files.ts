import { LRUCache } from 'lru-cache'
import type { AcceptedOutputs } from './accepted-outputs.ts'
import type { BlobStore } from './blob-store.ts'
import { InputError } from './errors.ts'
import { isItemsPlan } from './items/items-plan.ts'
import { JobId, JobPlan, JobSecret, JobSpec, Report, makesVideo } from './job.ts'
import { layout } from './layout.ts'
import { framesOfSegment } from './segment-metadata.ts'

export type JobFiles = ReturnType<typeof createJobFiles>

/**
 * A job's documents in Blob. Spec and plan never change once written, so they are kept in memory for a while. Whoever ends
 * or removes jobs gives the outputs as well, which are cleared up with the rest.
 */
export function createJobFiles(
  media: BlobStore,
  outputs?: Pick<AcceptedOutputs, 'removeSecrets' | 'removeJob'>,
) {
  // Many jobs share the fleet, and each worker has a batch of this one and then of that.
  const documents = { max: 500, maxSize: 64e6, sizeCalculation: (it: object) => JSON.stringify(it).length }
  const specs = new LRUCache<string, JobSpec>(documents)
  const secrets = new LRUCache<string, JobSecret>(documents)
  // A long film's plan may have millions of numbers, and of short ones there may be many.
  const plans = new LRUCache<string, JobPlan>({ max: 500, maxSize: 16e6, sizeCalculation: numbersIn })

  async function findSpec(id: string): Promise<JobSpec | undefined> {
    const spec = specs.get(id) ?? (await media.readJson(layout.spec(id), JobSpec))
    if (spec) specs.set(id, spec)
    return spec
  }

  async function findPlan(id: string): Promise<JobPlan | undefined> {
    const plan = plans.get(id) ?? (await media.readJson(layout.plan(id), JobPlan))
    if (plan) plans.set(id, plan)
    return plan
  }

  return {
    findSpec,
    findPlan,
    async spec(id: string): Promise<JobSpec> {
      const spec = await findSpec(id)
      if (spec) return spec
      throw new InputError(
        'job-gone',
        `The job ${id} is not in the media account any more (${layout.spec(id)} is missing).`,
      )
    },
    async plan(id: string): Promise<JobPlan> {
      const plan = await findPlan(id)
      if (plan) return plan
      throw new InputError('plan-gone', `The plan of job ${id} is missing (${layout.plan(id)}).`)
    },
    /** Writes the plan unless there is one; answers the one that counts. */
    async keepPlan(plan: JobPlan): Promise<JobPlan> {
      const first = await media.writeJson(layout.plan(plan.jobId), plan, { ifAbsent: true })
      if (first) plans.set(plan.jobId, plan)
      return first ? plan : ((await findPlan(plan.jobId)) ?? plan)
    },
    /** Accepts a spec unless the id is taken; answers the one that counts. */
    async keepSpec(spec: JobSpec): Promise<{ spec: JobSpec; created: boolean }> {
      const created = await media.writeJson(layout.spec(spec.id), spec, { ifAbsent: true })
      if (created) specs.set(spec.id, spec)
      return { spec: created ? spec : ((await findSpec(spec.id)) ?? spec), created }
    },
    /** The queries of a job's URLs; nothing is read for a job that has none. */
    async secret({ id, hasSecret }: JobSpec): Promise<JobSecret> {
      const kept = hasSecret ? secrets.get(id) : noSecret
      const secret = kept ?? (await media.readJson(layout.secret(id), JobSecret)) ?? noSecret
      secrets.set(id, secret)
      return secret
    },
    writeSecret: (id: string, secret: JobSecret) => media.writeJson(layout.secret(id), secret),
    writeReport: (report: Report) => media.writeJson(layout.report(report.jobId), report),
    readReport: (id: string) => media.readJson(layout.report(id), Report),
    removeReport: (id: string) => media.remove([layout.report(id)]),
    /** Everything that only a running job needs. What its items were is needed to run it anew, unless it succeeded. */
    async removeIntermediates(id: string, { items = false } = {}): Promise<void> {
      secrets.delete(id)
      await outputs?.removeSecrets(id)
      // What is there, not what was planned: a job that was cancelled has little of its plan.
      const names = [layout.secret(id)]
      for (const folder of [
        layout.segments(id),
        layout.itemSecrets(id),
        ...(items ? [layout.items(id)] : []),
      ])
        for await (const { name } of media.list(folder)) names.push(name)
      await media.remove(names)
    },
    /** What was committed of a running job: batch number → frames in its segment, or lines of its part. */
    async committed(id: string): Promise<Map<number, number>> {
      const found = new Map<number, number>()
      const plan = await findPlan(id)
      const folder = plan && !makesVideo(plan) ? layout.parts(id) : layout.segments(id)
      for await (const { name, metadata } of media.list(folder)) {
        found.set(Number(/(\d+)\.\w+$/.exec(name)?.[1]), framesOfSegment(metadata))
      }
      return found
    },

    /** Marks a job as open: it has not ended, whatever Redis knows of it. */
    async markOpen(id: string): Promise<void> {
      await media.write(layout.openMark(id), Buffer.alloc(0), { ifAbsent: true })
    },
    /** Marks a job as open whose mark, if it has one, must not say that it was cancelled. */
    async markAnew(id: string): Promise<void> {
      await media.write(layout.openMark(id), Buffer.alloc(0))
    },
    /** Marks a job as one that only has to end: the word outlives Redis. */
    async markCancelled(id: string): Promise<void> {
      await media.write(layout.openMark(id), Buffer.alloc(0), { metadata: { halt: 'cancelled' } })
    },
    async openMark(id: string): Promise<{ cancelled: boolean } | undefined> {
      const mark = await media.head(layout.openMark(id))
      return mark && { cancelled: mark.metadata['halt'] === 'cancelled' }
    },
    /** The jobs that have not ended, as far as Blob knows. */
    async *openJobs(): AsyncGenerator<OpenJob> {
      for await (const { name, modified } of media.list(layout.openMarks)) {
        const id = JobId.safeParse(name.slice(layout.openMarks.length))
        if (id.success) yield { id: id.data, markedAt: modified }
      }
    },
    /** The last of a job's end. */
    unmark: (id: string) => media.remove([layout.openMark(id)]),
    /** Every trace of a job. */
    async removeJob(id: string): Promise<void> {
      for (const kept of [specs, secrets, plans]) kept.delete(id)
      const names: string[] = []
      for await (const { name } of media.list(layout.job(id))) names.push(name)
      await outputs?.removeJob(id)
      // The spec last: without it the rest would be nobody's.
      await media.remove(names.filter((name) => name !== layout.spec(id)))
      await media.remove([layout.spec(id), layout.openMark(id)])
    },
  }
}

export type OpenJob = { id: string; markedAt: Date }

const noSecret: JobSecret = { sourceQuery: '', outputQuery: '', styleQuery: '' }

const numbersIn = (plan: JobPlan) =>
  isItemsPlan(plan)
    ? 1 + plan.batches.length + plan.groupOf.length + 20 * plan.groups.length
    : 1 + plan.times.runs.length + (plan.keyframes?.length ?? 0) + plan.batches.length

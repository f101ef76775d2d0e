import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import type { Job, JobType, Queue } from 'bullmq'

type Statuses = Parameters<BullMQAdapter['getJobs']>[0]
type Counts = Awaited<ReturnType<BullMQAdapter['getJobCounts']>>

/**
 * A queue as Bull Board sees it. Until the sweep has been round an entry may be broken, or a key of the wrong type: the
 * board shows what can be read meanwhile, and no error.
 */
export class BoardAdapter extends BullMQAdapter {
  readonly #queue: Queue
  constructor(queue: Queue, options: ConstructorParameters<typeof BullMQAdapter>[1]) {
    super(queue, options)
    this.#queue = queue
  }

  override async getJobs(statuses: Statuses, start?: number, end?: number): Promise<Job[]> {
    return await super.getJobs(statuses, start, end).catch(
      whereBroken(async () => {
        const ranges = statuses.map(async (status) => await this.#ids(status, start, end))
        const ids = [...new Set((await Promise.all(ranges)).flat())]
        const jobs = await Promise.all(ids.map(async (id) => await this.getJob(id)))
        return jobs.filter((job) => job !== undefined)
      }),
    )
  }

  override async getJob(id: string): Promise<Job | undefined> {
    return await super.getJob(id).catch(whereBroken(() => undefined))
  }

  override async getJobCounts(): Promise<Counts> {
    return await super.getJobCounts().catch(
      whereBroken(async () => {
        const counts = this.getJobStatuses().map(async (status) => {
          const count = await this.#queue.getJobCountByTypes(status as JobType).catch(whereBroken(() => 0))
          return [status, count] as const
        })
        return Object.fromEntries(await Promise.all(counts)) as Counts
      }),
    )
  }

  override async isPaused(): Promise<boolean> {
    return await super.isPaused().catch(whereBroken(() => false))
  }

  override async getGlobalConcurrency(): Promise<number | null> {
    return await super.getGlobalConcurrency().catch(whereBroken(() => null))
  }

  override async getJobSchedulersCount(): Promise<number> {
    return await super.getJobSchedulersCount().catch(whereBroken(() => 0))
  }

  async #ids(status: Statuses[number], start?: number, end?: number): Promise<string[]> {
    return await this.#queue.getRanges([status as JobType], start, end).catch(whereBroken(() => []))
  }
}

/** What to do instead where an entry or a key is broken; any other failure stays one. */
const whereBroken =
  <T>(instead: () => T) =>
  (error: Error): T => {
    if (error instanceof SyntaxError || error.name === 'ReplyError') return instead()
    throw error
  }

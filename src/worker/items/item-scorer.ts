import type { Item, ItemGroup, PartLine } from '../../shared/items/item.ts'
import type { JobSpec } from '../../shared/job.ts'
import type { Logger } from '../../shared/log.ts'

export type ItemsJob = {
  spec: JobSpec
  /** The model of this batch, and its partition's values, if it has one. */
  group: Required<Pick<ItemGroup, 'model'>> & Pick<ItemGroup, 'partition'>
  items: Item[]
  /** SAS queries by place in `items`. */
  queries: (string | undefined)[]
  /**
   * By place in `items`: what the model must not be given. Its line is the error `unscorable`; in a trial that is of nothing
   * else, the model is given a blank one of the same shape in its place.
   */
  through: ReadonlySet<number>
  /** Only to see whether they can be scored: nothing is written anywhere. */
  trial: boolean
  /** One at a time on one thread: what asks least of memory. */
  small: boolean
  /** A folder for files, gone afterwards. */
  dir: string
  signal: AbortSignal
  log: Logger
  /** Called before a model is loaded, or run: what can kill a process. */
  onScoring(): void
  /** Called once all that it takes is here: another batch may begin. */
  onFetched(): void
  /** Keeps an image that was made of the item at `place`; answers its blob's name. */
  keep(place: number, extension: string, bytes: Buffer): Promise<string>
  /** So many of them are done; `isScored`: the model has scored the last of them. */
  onItem(done: number, isScored: boolean): void
}

/**
 * Scores a batch's items. Answers a line for each, in their order: what is wrong with an item is its own failure; what is
 * wrong with the model, the machine or the storage is thrown, as of a batch of frames.
 */
export type ItemScorer = (
  job: ItemsJob,
) => Promise<{ lines: PartLine[]; device?: string; size?: string; ms?: Record<string, number> }>

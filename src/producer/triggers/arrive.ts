import { isPlainName } from '../../shared/blob-name.ts'
import type { BlobHead, BlobStore } from '../../shared/blob-store.ts'
import { InputError, TransientError } from '../../shared/errors.ts'
import type { JobRequest } from '../../shared/job.ts'
import { layout, outputMark } from '../../shared/layout.ts'
import type { Logger } from '../../shared/log.ts'
import { type AcceptDeps, acceptJob, keyedId, putInLine } from '../accept-job.ts'
import type { ArrivalMetrics, Way } from './metrics.ts'
import { isTriggerFile, requestOf, ruleFor } from './rule.ts'
import type { RulesStore } from './rules-store.ts'
import type { SetAside } from './set-aside.ts'
import { longestTriggerFile, readTriggerFile } from './trigger-file.ts'

export type ArriveDeps = {
  accept: AcceptDeps
  media: Pick<BlobStore, 'head' | 'read' | 'url' | 'nameOf'>
  rules: Pick<RulesStore, 'read'>
  setAside: SetAside
  metrics: ArrivalMetrics
  log: Logger
}

/** What became of a blob that landed. Each is final: the same version again comes to the same. */
export type Arrival =
  | { outcome: 'started'; jobId: string; rule: string }
  /** That version has its job already. */
  | { outcome: 'known'; jobId: string }
  | { outcome: 'ignored'; why: string }
  /** It is not there any more. */
  | { outcome: 'gone' }
  /** It is in quarantine with the reason. */
  | { outcome: 'refused'; code: string; message: string }

export type Arrive = ReturnType<typeof createArrivals>

/** Whose the jobs are that a blob starts: they share what one caller may have in line. */
const triggerClient = 'trigger'

/**
 * A blob landed: starts its job, once for each version of it. What counts is what is there now, whatever was said of it, so
 * it may be said twice, late, in any order, and to several producers at once.
 *
 *   said ──► looked at ─► gone | ignored | known
 *                 └─────► started | refused (quarantine)
 *
 * Throws TooMuchQueued, TransientError and whatever storage or Redis throw while they are away: then it is to be said again.
 */
export function createArrivals({ accept, media, rules, setAside, metrics, log }: ArriveDeps) {
  return async (names: string[], { way }: { way: Way }): Promise<Arrival> => {
    const arrival = await arrive(names)
    metrics.arrivals.inc({ way, outcome: arrival.outcome })
    const quiet = arrival.outcome === 'known' || (arrival.outcome === 'ignored' && way === 'poll')
    log[quiet ? 'debug' : 'info']({ blob: names[0], way, ...arrival }, 'a blob landed')
    return arrival
  }

  async function arrive(names: string[]): Promise<Arrival> {
    const out = names.find((name) => !name.startsWith(layout.arrivals))
    if (out !== undefined) return ignored(`it is not under ${layout.arrivals}`)
    const plain = names.filter(isPlainName)
    if (plain.length === 0) return ignored('it has a name that may be taken for another')
    const found = await firstThere(plain)
    if (!found) return { outcome: 'gone' }
    const { name, head } = found
    const why = whyNot(head)
    if (why !== undefined) return ignored(why)
    // Said before it is whole: said again it will be.
    if (head.copying) throw new TransientError(`${name} is still being copied.`)
    const byFile = isTriggerFile(name)
    const inForce = (await rules.read()).rules
    if (byFile && !inForce.triggerFiles) return ignored('the rules take no trigger files')
    const rule = ruleFor(inForce, name)
    const template = rule?.job
    if (!byFile && !template) return ignored(rule ? `the rule ${rule.name} starts none` : 'no rule takes it')

    const key = `${name}\n${head.etag}`
    const jobId = keyedId(triggerClient, key)
    const known = await accept.files.findSpec(jobId)
    if (known) {
      // Whoever accepted it may have died before it was in line.
      await putInLine(accept, known)
      return { outcome: 'known', jobId }
    }
    try {
      const request = template
        ? requestOf(template, { name, modified: head.modified }, { prefix: rule.prefix, urlOf: media.url })
        : await requestInFile(name, head)
      // A file names its source itself: any version of that will do.
      const version = byFile ? undefined : head.etag
      await acceptJob(accept, request, { client: triggerClient, key, version })
      return { outcome: 'started', jobId, rule: rule?.name ?? 'trigger file' }
    } catch (error) {
      if (byFile && isMissing(error) && Date.now() - head.modified.getTime() < sourceComesWithinMs) {
        throw new TransientError(`The source of ${name} is not there yet.`)
      }
      return await refused(error, name, head.etag, jobId)
    }
  }

  async function firstThere(names: string[]): Promise<{ name: string; head: BlobHead } | undefined> {
    for (const name of names) {
      const head = await media.head(name)
      if (head) return { name, head }
    }
    return undefined
  }

  async function requestInFile(name: string, { bytes }: BlobHead): Promise<JobRequest> {
    if (bytes > longestTriggerFile) {
      const message = `${name} has ${bytes} bytes; ${longestTriggerFile} are the limit of a trigger file.`
      throw new InputError('bad-trigger', message)
    }
    const text = (await media.read(name))?.toString('utf8')
    if (text === undefined) throw new TransientError(`${name} went while it was read.`)
    return readTriggerFile(name, text, { urlOf: media.url, nameOf: media.nameOf })
  }

  /** Nobody waits for an answer: what is wrong with it is kept where people look. */
  async function refused(error: unknown, name: string, etag: string, jobId: string): Promise<Arrival> {
    if (!(error instanceof InputError) || passes.has(error.code)) throw error
    // Two producers at once, and the rules changed between them.
    if (error.code === 'idempotency-mismatch') return { outcome: 'known', jobId }
    const { code, message } = error
    await setAside({
      entry: `${etag.replaceAll('"', '')} ${name}`,
      message,
      payload: name,
      reason: 'refused',
    })
    return { outcome: 'refused', code, message }
  }
}

/** Whoever brings both at once does not choose which comes first. */
const sourceComesWithinMs = 600_000

const isMissing = (error: unknown) => error instanceof InputError && error.code === 'source-not-found'

/** Refusals that are none of the request: there is no room for it yet. */
const passes = new Set(['too-much-queued', 'too-many-requests'])

const ignored = (why: string): Arrival => ({ outcome: 'ignored', why })

/** Why a blob is no video that somebody brought. */
function whyNot({ metadata, bytes }: BlobHead): string | undefined {
  const has = (key: string) => Object.keys(metadata).some((each) => each.toLowerCase() === key)
  if (has(outputMark)) return 'it is the output of a job'
  if (has('hdi_isfolder')) return 'it is a folder'
  // Who writes in parts begins with nothing; a version with something in it is said again.
  return bytes === 0 ? 'it is empty' : undefined
}

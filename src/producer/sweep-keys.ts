import type { Redis } from 'ioredis'
import { backlogTypes, createBacklog } from '../shared/backlog.ts'
import { incidentTypes } from '../shared/incidents.ts'
import { JobId } from '../shared/job.ts'
import { listType, statusTypes } from '../shared/job-status.ts'
import { fleetKeyTypes, machineKeyTypes, workerKeyTypes } from '../shared/worker-registry.ts'
import type { KeyType, KeyTypes } from '../shared/key-types.ts'
import type { Logger } from '../shared/log.ts'
import type { EvidenceKeeper } from './evidence.ts'
import { dropKey, wrongKeys } from './raw-keys.ts'

export type KeySweepDeps = { redis: Redis; prefix: string; evidence: EvidenceKeeper; log: Logger }

/** What was taken out, and what has to be made anew from Blob. */
export type Swept = {
  quarantined: number
  /** Jobs that lost what was known of them. */
  jobs: Set<string>
  /** The list of jobs or the line is gone, and with it something of every open job. */
  all: boolean
}

const jobsAtOnce = 200
const clientsAtOnce = 500

/**
 * Takes keys of the wrong type out of what lies beside the queues: the list of jobs, the line, the pace, the fleet, and what
 * is known of each job. One of them would make a request, a beat or a job fail each time it is tried.
 */
export function createKeySweeper({ redis, prefix, evidence, log }: KeySweepDeps) {
  const backlog = createBacklog(redis, prefix)
  let cursor = 0

  const ofJob = (id: string): KeyTypes => ({
    ...statusTypes(prefix, id),
    ...incidentTypes(prefix, id),
    // Whoever puts the job back holds it for a minute.
    [`${prefix}:job:${id}:resuming`]: 'lease',
  })

  async function drop(types: KeyTypes): Promise<string[]> {
    const gone: string[] = []
    for (const { name, fault, size, head } of await wrongKeys(redis, '', types)) {
      const short = name.slice(prefix.length + 1)
      const message = `The key ${short} ${fault}; its size is ${size}.`
      const [jobId, part] = short.startsWith('job:') ? short.slice('job:'.length).split(':') : []
      // A record of a job goes when the job is run again; it is known by how its id begins.
      const entry = jobId === undefined ? short : [jobId, part ?? 'status'].join('.')
      const taken = await evidence.takeOut(
        { queue: 'keys', entry, jobId, message, payload: head },
        async () => await dropKey(redis, '', name, types[name] as KeyType),
      )
      if (!taken) continue
      log.warn({ key: short, fault }, 'a key could not be used: it was removed')
      gone.push(name)
    }
    return gone
  }

  async function dropOfJobs(ids: string[], swept: Swept): Promise<void> {
    for (let from = 0; from < ids.length; from += jobsAtOnce) {
      const some = ids.slice(from, from + jobsAtOnce).filter((id) => JobId.safeParse(id).success)
      const gone = new Set(await drop(Object.assign({}, ...some.map(ofJob)) as KeyTypes))
      swept.quarantined += gone.size
      for (const id of some) {
        const keys = Object.keys(ofJob(id))
        if (!keys.some((key) => gone.has(key))) continue
        swept.jobs.add(id)
        const [status = '', done = ''] = Object.keys(statusTypes(prefix, id))
        // What was counted went with the status: it is counted anew.
        if (gone.has(status)) await redis.unlink(done)
      }
    }
  }

  /** The fleet says all of it anew: no job misses anything. */
  async function dropOfFleet(workers: string[], machines: string[]): Promise<number> {
    const types = [
      fleetKeyTypes(prefix),
      ...workers.map((id) => workerKeyTypes(prefix, id)),
      ...machines.map((name) => machineKeyTypes(prefix, name)),
    ]
    return (await drop(Object.assign({}, ...types) as KeyTypes)).length
  }

  async function dropOfLine(clients: string[], swept: Swept): Promise<void> {
    for (let from = 0; from < clients.length; from += clientsAtOnce) {
      const gone = await drop(backlogTypes(prefix, Date.now(), clients.slice(from, from + clientsAtOnce)))
      swept.quarantined += gone.length
      // How fast the fleet was is nothing that a job would miss.
      if (gone.some((key) => !key.startsWith(`${prefix}:pace:`))) swept.all = true
    }
  }

  /**
   * Looks at the fixed keys, the line, the next of the jobs in it, and whatever is ours among `others`: names of keys
   * without the prefix.
   */
  return async (others: string[]): Promise<Swept> => {
    const swept: Swept = { quarantined: 0, jobs: new Set(), all: false }
    const gone = await drop({ ...listType(prefix), ...backlogTypes(prefix, Date.now(), []) })
    swept.quarantined += gone.length
    swept.all = gone.some((key) => !key.startsWith(`${prefix}:pace:`))

    const named = (first: string) => [
      ...new Set(
        others.map((key) => key.split(':')).flatMap(([kind, id]) => (kind === first && id ? [id] : [])),
      ),
    ]
    swept.quarantined += await dropOfFleet(named('worker'), named('machine'))
    await dropOfLine([...new Set([...(await backlog.clients()), ...named('open')])], swept)
    const inLine = await backlog.list()
    if (cursor >= inLine.length) cursor = 0
    const next = inLine.slice(cursor, cursor + jobsAtOnce)
    cursor += next.length
    await dropOfJobs([...new Set([...next, ...named('job')])], swept)
    return swept
  }
}

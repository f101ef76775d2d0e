import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { readMachineName } from './scheduled-events.ts'

type Source = {
  /** The name it was given; none when empty. */
  given: string
  /** Of IMDS; none when empty. */
  imdsUrl: string
  /** How long IMDS is asked. */
  patienceMs?: number
}

/**
 * What the fleet calls the machine, or the process, that this worker runs on: it is held and removed by that name. As it was
 * given; else Azure's name of the machine, for which a machine that has just started may have to ask for a while; else the host
 * and the process. Throws where Azure does not tell.
 */
export async function instanceName({ given, imdsUrl, patienceMs = 30_000 }: Source): Promise<string> {
  if (given !== '') return given
  if (imdsUrl === '') return safeName(`${hostname()}-${process.pid}`)
  for (const until = Date.now() + patienceMs; ;) {
    try {
      return safeName(await readMachineName(imdsUrl))
    } catch (error) {
      // By another name it would work unknown to its fleet, which takes away what it does not hear of.
      if (Date.now() >= until) {
        const { message } = error as Error
        throw new Error(`Azure's metadata service does not tell the name of this machine: ${message}`, {
          cause: error,
        })
      }
      await pause(againMs)
    }
  }
}

const againMs = 500

const safeName = (name: string) => name.replaceAll(/[^\w.-]/g, '-').slice(0, 120)

/** Of this process: pids are the same in every container. */
export const workerId = (instance: string) => `${instance}/${process.pid}-${randomBytes(4).toString('hex')}`

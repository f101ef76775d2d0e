import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from '../shared/log.ts'
import { readMachineName } from './scheduled-events.ts'

type Source = {
  /** The name it was given; none when empty. */
  given: string
  /** Of IMDS; none when empty. */
  imdsUrl: string
  log: Logger
  /** How long IMDS is asked. */
  patienceMs?: number
}

/**
 * What the fleet calls the machine, or the process, that this worker runs on: it is held and removed by that name. As it was
 * given; else Azure's name of the machine; else the host and the process.
 */
export async function instanceName({ given, imdsUrl, log, patienceMs = 30_000 }: Source): Promise<string> {
  if (given !== '') return given
  const own = safeName(`${hostname()}-${process.pid}`)
  if (imdsUrl === '') return own
  for (const until = Date.now() + patienceMs; ;) {
    try {
      return safeName(await readMachineName(imdsUrl))
    } catch (error) {
      const err = (error as Error).message
      if (Date.now() >= until) {
        log.warn({ err, instance: own }, "Azure's name of this machine is not known: its fleet can't tell it")
        return own
      }
      await pause(againMs)
    }
  }
}

const againMs = 500

const safeName = (name: string) => name.replaceAll(/[^\w.-]/g, '-').slice(0, 120)

/** Of this process: pids are the same in every container. */
export const workerId = (instance: string) => `${instance}/${process.pid}-${randomBytes(4).toString('hex')}`

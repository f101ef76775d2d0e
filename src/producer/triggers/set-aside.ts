import { classify } from '../../shared/classify.ts'
import type { Quarantine, QuarantineRecord } from '../../shared/quarantine.ts'
import { TooMuchQueued } from '../admission.ts'

/** Where records say that something was found that landed, or was said to have. */
export const arrivalsQueue = 'arrivals'

export type SetAside = ReturnType<typeof createSetAside>

/** Keeps the evidence of what starts no job though somebody meant it to; the same one is kept once. */
export function createSetAside(quarantine: Pick<Quarantine, 'put'>) {
  return async ({
    reason = 'poison',
    ...evidence
  }: Pick<QuarantineRecord, 'entry' | 'message' | 'payload'> & Partial<Pick<QuarantineRecord, 'reason'>>) => {
    const record = { v: 1, at: new Date().toISOString(), queue: arrivalsQueue, reason, ...evidence } as const
    await quarantine.put({ ...record, frames: [], incidents: [] })
  }
}

/** Whether it is the world's fault, and for a moment: what landed is tried again for as long as that lasts. */
export const isPassing = (error: unknown): boolean =>
  error instanceof TooMuchQueued || classify(error) === 'transient'

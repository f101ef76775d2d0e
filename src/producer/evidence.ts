import type { Logger } from '../shared/log.ts'
import type { Quarantine, QuarantineRecord } from '../shared/quarantine.ts'

/** What is said of something that can't be read. */
export type Evidence = Pick<QuarantineRecord, 'queue' | 'entry' | 'jobId' | 'message' | 'payload'>

export type EvidenceKeeper = ReturnType<typeof createEvidence>

/** Notes in quarantine what is taken out of Redis because nobody can read it. */
export function createEvidence(quarantine: Pick<Quarantine, 'put' | 'drop'>, log: Logger) {
  /** Answers the id of the record, if it is a new one. */
  async function note(evidence: Evidence): Promise<string | undefined> {
    const record = { v: 1, at: new Date().toISOString(), ...evidence, reason: 'unreadable' } as const
    return await quarantine.put({ ...record, frames: [], incidents: [] }).catch((error: Error) => {
      // What fills Redis may be this very thing.
      if (!error.message.includes('OOM')) throw error
      const { queue, entry, message } = evidence
      log.warn({ queue, entry, err: message }, 'Redis is full: what was taken out is noted here alone')
      return undefined
    })
  }

  return {
    note,
    /** Evidence before removal; where nothing was removed, nothing is said. Answers whether it was. */
    async takeOut(evidence: Evidence, remove: () => Promise<boolean>): Promise<boolean> {
      const fresh = await note(evidence)
      const removed = await remove()
      if (!removed && fresh !== undefined) await quarantine.drop(fresh)
      return removed
    },
  }
}

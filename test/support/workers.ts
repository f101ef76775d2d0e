import type { WorkerRecord } from '../../src/shared/fleet.ts'

/** What an idle worker says of itself; its instance is what stands before the slash of its id. */
export function aWorker(id: string, more: Partial<WorkerRecord> = {}): WorkerRecord {
  const [instance = id] = id.split('/')
  const now = Date.now()
  return {
    ...{ id, instance, state: 'idle', since: now, startedAt: now, beatAt: now, device: null, models: [] },
    ...{ framesPerSecond: 25, batches: 0, leaving: null },
    ...more,
  }
}

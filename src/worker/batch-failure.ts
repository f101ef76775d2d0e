import { InputError } from '../shared/errors.ts'

/** Why a job failed, when one of its batches did: a code for programs and one sentence. */
export function batchFailure(index: number, error: Error): { code: string; message: string } {
  if (error instanceof InputError) return { code: error.code, message: error.message }
  // BullMQ's words for a child process that ended in the middle of its work.
  const died = /^Unexpected exit code: (\S+) signal: (\S+)/.exec(error.message)
  const how = died ? `its engine died (${died[2] === 'null' ? `exit ${died[1]}` : died[2]})` : error.message
  return { code: 'batch-failed', message: `Batch ${index} failed each time it was tried: ${how}` }
}

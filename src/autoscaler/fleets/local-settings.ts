import { createHash } from 'node:crypto'
import type { z } from 'zod'
import type { autoscalerSettings } from '../config.ts'

type Config = z.infer<z.ZodObject<typeof autoscalerSettings>>

/**
 * Where the fleet of this machine has its notes: all autoscalers of a system share them, and no other system sees them, for
 * it would take the workers for its own. Throws one sentence when the settings don't go together.
 */
export function localDir(
  config: Pick<
    Config,
    | 'FRAMEFLEET_LOCAL_DIR'
    | 'FRAMEFLEET_QUEUE_PREFIX'
    | 'FRAMEFLEET_REDIS_URL'
    | 'FRAMEFLEET_WORKERS_PER_INSTANCE'
  >,
): string {
  if (config.FRAMEFLEET_WORKERS_PER_INSTANCE > 1) {
    throw new Error(
      'settings: FRAMEFLEET_WORKERS_PER_INSTANCE must be 1 where FRAMEFLEET_FLEET is local: each worker is an instance',
    )
  }
  if (config.FRAMEFLEET_LOCAL_DIR !== '') return config.FRAMEFLEET_LOCAL_DIR
  // Without its password, which changes.
  const { host, pathname } = new URL(config.FRAMEFLEET_REDIS_URL)
  const system = createHash('sha256').update(`${host}${pathname} ${config.FRAMEFLEET_QUEUE_PREFIX}`)
  return `/tmp/framefleet-${system.digest('hex').slice(0, 12)}`
}

import type { z } from 'zod'
import type { BlobStore } from './blob-store.ts'
import type { fleetSettings } from './config.ts'
import { InputError, TransientError } from './errors.ts'
import { FleetChange, FleetSettings } from './fleet.ts'
import { layout } from './layout.ts'
import type { Logger } from './log.ts'

export type FleetSettingsStore = ReturnType<typeof createFleetSettings>

/** What a role's environment says: between which sizes, as long as nobody sets others, and what nobody may pass. */
export type FleetBounds = { min: number; max: number; ceiling: number }

/** Others may write meanwhile; each try that loses means that one of them won. */
const tries = 10

/**
 * What people set of the fleet, in the system container: it outlives Redis. It holds only what they named, so that the
 * rest goes on following the environment. Where what lies there can't be read, the environment alone holds.
 */
export function createFleetSettings(system: BlobStore, bounds: FleetBounds, log?: Pick<Logger, 'warn'>) {
  const name = layout.fleetSettings
  let unreadable: string | undefined

  async function readSet(): Promise<FleetChange> {
    const text = (await system.read(name))?.toString('utf8')
    if (text === undefined) return {}
    const found = FleetChange.safeParse(parsed(text))
    if (found.success && FleetSettings.safeParse(inForce(bounds, found.data)).success) {
      unreadable = undefined
      return found.data
    }
    // Once for each text: it is read every few seconds.
    if (unreadable !== text)
      log?.warn({ blob: name }, "the fleet's settings can't be read; the defaults hold")
    unreadable = text
    return {}
  }

  return {
    /** What holds, never above the ceiling. */
    read: async (): Promise<FleetSettings> => inForce(bounds, await readSet()),
    /**
     * Sets some of it over what was set; answers what holds then. What others set meanwhile is kept. Throws InputError where
     * it does not go with the rest, or passes the ceiling.
     */
    async change(some: FleetChange): Promise<FleetSettings> {
      underCeiling(bounds, some)
      for (let left = tries; left > 0; left--) {
        // The version first: what is read may be newer, and then it is not overwritten.
        const version = await system.head(name)
        const set = await readSet()
        together(inForce(bounds, set), some)
        const wanted = { ...set, ...some }
        const over = version ? { ifMatch: version.etag } : { ifAbsent: true }
        if (await system.writeJson(name, wanted, over)) return inForce(bounds, wanted)
      }
      throw new TransientError(`The fleet's settings were changed by others ${tries} times meanwhile.`)
    },
  }
}

/** The settings of a role as the fleet's bounds; throws one sentence when they don't go together. */
export function fleetBounds(config: z.infer<z.ZodObject<typeof fleetSettings>>): FleetBounds {
  const { FRAMEFLEET_FLEET_MIN: min, FRAMEFLEET_FLEET_MAX: max, FRAMEFLEET_FLEET_CEILING: ceiling } = config
  if (min > max) throw new Error('settings: FRAMEFLEET_FLEET_MIN must not be above FRAMEFLEET_FLEET_MAX')
  if (max > ceiling)
    throw new Error('settings: FRAMEFLEET_FLEET_MAX must not be above FRAMEFLEET_FLEET_CEILING')
  return { min, max, ceiling }
}

/** What was set goes over what the environment says, which gives way to it; nothing goes over the ceiling. */
function inForce(bounds: FleetBounds, { min, max, size = null, paused = false }: FleetChange): FleetSettings {
  const most = max ?? Math.max(bounds.max, min ?? 0, size ?? 0)
  const least = min ?? Math.min(bounds.min, most, size ?? most)
  const within = (wanted: number) => Math.min(bounds.ceiling, wanted)
  return { min: within(least), max: within(most), size: size === null ? null : within(size), paused }
}

function underCeiling({ ceiling }: FleetBounds, { min, max, size }: FleetChange): void {
  for (const [word, wanted] of Object.entries({ min, max, size }))
    if ((wanted ?? 0) > ceiling)
      throw new InputError(
        'bad-fleet',
        `${word} must not be above ${ceiling}, the ceiling of this fleet (FRAMEFLEET_FLEET_CEILING).`,
      )
}

function together(present: FleetSettings, some: FleetChange): void {
  const wanted = FleetSettings.safeParse({ ...present, ...some })
  if (wanted.success) return
  const { min, max, size } = { ...present, ...some }
  throw new InputError(
    'bad-fleet',
    `${wanted.error.issues[0]?.message ?? 'That can not be set'}: min would be ${min}, max ${max}, size ${size ?? 'auto'}.`,
  )
}

/** Undefined for what is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

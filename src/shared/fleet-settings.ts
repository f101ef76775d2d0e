import type { z } from 'zod'
import type { BlobStore } from './blob-store.ts'
import type { fleetSettings } from './config.ts'
import { InputError, TransientError } from './errors.ts'
import { FleetSettings } from './fleet.ts'
import { layout } from './layout.ts'
import type { Logger } from './log.ts'

export type FleetSettingsStore = ReturnType<typeof createFleetSettings>

/** Others may write meanwhile; each try that loses means that one of them won. */
const tries = 10

/**
 * What people set of the fleet, in the system container: it outlives Redis. As long as nobody has set anything, or where
 * what lies there can't be read, the defaults hold.
 */
export function createFleetSettings(system: BlobStore, defaults: FleetSettings, log?: Pick<Logger, 'warn'>) {
  const name = layout.fleetSettings
  let unreadable: string | undefined

  async function read(): Promise<FleetSettings> {
    const text = (await system.read(name))?.toString('utf8')
    if (text === undefined) return defaults
    const found = FleetSettings.safeParse(parsed(text))
    if (found.success) {
      unreadable = undefined
      return found.data
    }
    // Once for each text: it is read every few seconds.
    if (unreadable !== text)
      log?.warn({ blob: name }, "the fleet's settings can't be read; the defaults hold")
    unreadable = text
    return defaults
  }

  return {
    read,
    /** Takes the place of all that was set. */
    async write(settings: FleetSettings): Promise<void> {
      await system.writeJson(name, settings)
    },
    /**
     * Sets some of it over what holds; answers what holds then. What others set meanwhile is kept. Throws InputError where
     * it does not go with the rest.
     */
    async change(some: Partial<FleetSettings>): Promise<FleetSettings> {
      for (let left = tries; left > 0; left--) {
        // The version first: what is read may be newer, and then it is not overwritten.
        const version = await system.head(name)
        const wanted = together(await read(), some)
        const over = version ? { ifMatch: version.etag } : { ifAbsent: true }
        if (await system.writeJson(name, wanted, over)) return wanted
      }
      throw new TransientError(`The fleet's settings were changed by others ${tries} times meanwhile.`)
    },
  }
}

/** The settings of a role as the fleet's; throws one sentence when they don't go together. */
export function fleetDefaults(config: z.infer<z.ZodObject<typeof fleetSettings>>): FleetSettings {
  const { FRAMEFLEET_FLEET_MIN: min, FRAMEFLEET_FLEET_MAX: max } = config
  if (min > max) throw new Error('settings: FRAMEFLEET_FLEET_MIN must not be above FRAMEFLEET_FLEET_MAX')
  return { min, max, size: null, paused: false }
}

function together(present: FleetSettings, some: Partial<FleetSettings>): FleetSettings {
  const wanted = FleetSettings.safeParse({ ...present, ...some })
  if (wanted.success) return wanted.data
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

import { once } from 'node:events'
import { join, resolve } from 'node:path'
import type { FleetSettings } from '../../shared/fleet.ts'
import { createClient } from '../../client/client.ts'
import { startStack } from '../embedded-stack.ts'
import { saveEndpoint } from '../endpoint.ts'
import { UsageError } from '../failure.ts'
import { tell } from '../output.ts'
import { elsewhere } from '../program/options.ts'
import { describeSettings } from './fleet.ts'

type UpOptions = {
  workers: number
  autoscale: boolean
  min: number
  max: number
  port: number
  dir: string
}

/** Runs the whole system on this machine until it is told to stop; data stays under `dir`. */
export async function up(
  { autoscale, min, max, ...options }: UpOptions,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  if (autoscale && min > max) {
    throw new UsageError(`--min ${min} is above --max ${max}.`)
  }
  const stack = await startStack({
    ...options,
    ...(autoscale ? { autoscale: { min, max } } : {}),
    // Nobody tells of what lands in storage of our own.
    env: env['FRAMEFLEET_MEDIA_ACCOUNT'] ? env : { FRAMEFLEET_ARRIVALS_POLL_SECONDS: '5', ...env },
    ...{ restart: true, onEvent: tell },
  })
  const dir = resolve(options.dir)
  await saveEndpoint(dir, {
    apiUrl: stack.apiUrl,
    token: stack.token,
    mediaAccount: stack.env['FRAMEFLEET_MEDIA_ACCOUNT'],
    mediaContainer: stack.env['FRAMEFLEET_MEDIA_CONTAINER'] ?? 'media',
    systemAccount: stack.env['FRAMEFLEET_SYSTEM_ACCOUNT'],
    systemContainer: stack.env['FRAMEFLEET_SYSTEM_CONTAINER'] ?? 'system',
  })
  const workers = options.workers === 1 ? '1 worker' : `${options.workers} workers`
  const at = elsewhere(options.dir)
  tell(`framefleet is up${autoscale ? '' : `; ${workers}`}`)
  if (autoscale) {
    // What was set before goes over what is asked for now.
    const fleet = await createClient({ url: stack.apiUrl, token: stack.token })
      .fleet()
      .catch(() => undefined)
    if (fleet) tell(`  fleet   ${describeBounds(fleet.settings, { min, max }, at)}`)
  }
  tell(`  page    ${stack.apiUrl}/#token=${encodeURIComponent(stack.token)}`)
  tell(`  API     ${stack.apiUrl}/v1/jobs   (docs at ${stack.apiUrl}/docs)`)
  tell(`  queues  ${stack.apiUrl}/queues   (any user name; the token is the password)`)
  if (Number(stack.env['FRAMEFLEET_ARRIVALS_POLL_SECONDS']) > 0)
    tell(`  videos  that land under in/ start by themselves   (npx framefleet triggers${at})`)
  tell(`  token   npx framefleet token${at}`)
  tell(`  logs    ${join(dir, 'logs')}`)
  tell('Ctrl-C stops it; data stays.')
  if (!signal.aborted) await once(signal, 'abort')
  tell('stopping ...')
  await stack.stop()
  return 0
}

/** What holds, and how to have what was asked for where that is something else. */
function describeBounds(settings: FleetSettings, asked: { min: number; max: number }, at: string): string {
  const holds = describeSettings(settings)
  if (settings.min === asked.min && settings.max === asked.max) return holds
  const change = `npx framefleet fleet set --min ${asked.min} --max ${asked.max}${at}`
  return `${holds}; so it was set before, and \`${change}\` changes it`
}

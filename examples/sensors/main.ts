// A plant with fifteen sensors, through the whole system: a one-class SVM for each device and tag, a day of readings with faults in
// it, sent as gateways send them, scored hour by hour as a schedule asks, and what was found. The same seed gives the same table.
// npm run example:sensors
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startStack } from '../../src/cli/embedded-stack.ts'
import { createClient } from '../../src/client/client.ts'
import { connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'
import { outcomeOf, tableOf } from './outcome.ts'
import { deliver, identityOf, measure, plantFaults, series } from './readings.ts'
import { sensorOnnx, trainSensor } from './sensor-model.ts'
import * as system from './system.ts'

/** What is promised of the table; less than that is no success. */
const leastRecall = 0.65
const mostFalseAlarms = 0.02

const { values } = parseArgs({ options: { workers: { type: 'string', default: '2' } } })
const say = (line: string) => console.error(line)
const stopping = new AbortController()
const { signal } = stopping
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stopping.abort())

const dayMs = 86_400_000
const schedule = await system.readSchedule()
const { from, to, hours } = system.lastHours(24, Date.now(), schedule.window)
const plant = { midnight: from }

const dir = await mkdtemp(join(tmpdir(), 'framefleet-sensors-'))
const { FRAMEFLEET_REDIS_URL: _redis, ...env } = process.env
say('starting Redis, storage, a producer, workers and a stitcher ...')
const stack = await startStack({
  ...{ dir, workers: Number(values.workers), port: 0, restart: true },
  // A day is over in a minute here: all of its hours are open at once.
  env: { ...env, ...system.graceOver(hours.length, schedule.window) },
})
try {
  const api = createClient({ url: stack.apiUrl, token: stack.token })
  const media = createBlobStore(connectAccount(stack.env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''), 'media')

  const known = [...measure({ ...plant, seed: 1, from: from - 14 * dayMs, to: from, stepMs: 600_000 })]
  say(`training ${series.length} models on ${known.length} readings, and storing them ...`)
  for (const { device, tag } of series) {
    const own = known.filter(({ Device, Tag }) => Device === device && Tag === tag)
    const onnx = sensorOnnx(trainSensor(own))
    const account = { systemAccount: stack.env['FRAMEFLEET_SYSTEM_ACCOUNT'], systemContainer: 'system' }
    await system.addModel(join(dir, 'models'), { name: system.modelName(device, tag), onnx }, account)
  }
  await api.setSchedule(system.id, schedule, { signal })

  const faults = plantFaults(from)
  const day = [...measure({ ...plant, seed: 2, from, to, faults })]
  // Its gateway was cut off for two hours: these come when their own hours are closed.
  const before = [...measure({ ...plant, seed: 3, from: from - dayMs / 12, to: from })]
  const late = before.filter(({ Device }) => Device === 'fan-1')
  const sent = [...deliver(day, 4), ...late]
  const gateway = { url: stack.apiUrl, token: stack.token }
  const answered = await system.sendReadings(gateway, sent)
  say(`${answered.taken} readings were sent, ${answered.late} of them late`)

  const began = performance.now()
  const scored = []
  for (const hour of hours) {
    signal.throwIfAborted()
    const job = await system.runOver(api, schedule, hour)
    if (job.status !== 'succeeded')
      throw new Error(`the job ${job.id} is ${job.status}: ${job.error?.message}`)
    const { scored: those } = await system.readScores(media, hour)
    scored.push(...those)
    say(`${new Date(hour).toISOString().slice(0, 16)}Z  ${those.length} readings scored`)
  }
  const seconds = (performance.now() - began) / 1_000

  const outcome = outcomeOf(scored, faults)
  const due = new Set([...day, ...late].map(identityOf))
  const had = new Set(scored.map(identityOf))
  const missing = [...due].filter((identity) => !had.has(identity)).length
  const lateOnes = new Set(late.map(identityOf))
  const table = {
    'readings sent': sent.length,
    'sent twice, scored once': sent.length - due.size,
    'late, scored with the next run': scored.filter((each) => lateOnes.has(identityOf(each))).length,
    scored: scored.length,
    missing,
    'hourly runs': hours.length,
    seconds: Math.round(seconds),
  }
  console.log(`${tableOf(outcome)}\n`)
  for (const [what, count] of Object.entries(table)) console.log(`${what}: ${count}`)
  const isRight =
    missing === 0 &&
    scored.length === due.size &&
    outcome.faultsFound === outcome.faults &&
    outcome.recall >= leastRecall &&
    outcome.falseAlarms <= mostFalseAlarms
  if (!isRight) {
    console.error(
      `not as it should be: each reading scored once, each fault found, recall ${leastRecall} at least, false alarms ${mostFalseAlarms} at most`,
    )
    process.exitCode = 1
  }
} catch (error) {
  console.error(signal.aborted ? 'stopped before the end' : error)
  process.exitCode = 1
} finally {
  await stack.stop()
  await rm(dir, { recursive: true, force: true })
}

import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decide } from '../../examples/sensors/one-class-svm.ts'
import { deliver, identityOf, measure, plantFaults, series } from '../../examples/sensors/readings.ts'
import { seen, sensorOnnx, trainSensor } from '../../examples/sensors/sensor-model.ts'
import {
  addModel,
  graceOver,
  id,
  lastHours,
  modelName,
  readSchedule,
  readScores,
  runOver,
  sendReadings,
} from '../../examples/sensors/system.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** Those with a model, and with a fault within the hours that are looked at. */
const watched = series.slice(0, 3)
const schedule = await readSchedule()
const { from, to, hours } = lastHours(2, Date.now(), schedule.window)
const midnight = from - 2 * hourMs
const plant = { midnight, faults: plantFaults(midnight) }
const isWatched = ({ Device, Tag }: { Device: string; Tag: string }) =>
  watched.some(({ device, tag }) => device === Device && tag === Tag)

let stack: TestStack
beforeAll(async () => {
  // An hour more is open than has readings of its own: what comes late goes there.
  stack = await startTestStack({ workers: 1, env: graceOver(3, schedule.window) })
})
afterAll(async () => await stack?.stop())

test('readings, sent as they come, are scored by the hour with the model of their device and tag: each once', async () => {
  const models = new Map<string, ReturnType<typeof trainSensor>>()
  for (const { device, tag } of watched) {
    const known = [
      ...measure({ seed: 1, midnight, from: from - 3 * dayMs, to: from, stepMs: hourMs / 3 }),
    ].filter(({ Device, Tag }) => Device === device && Tag === tag)
    const [name, model] = [modelName(device, tag), trainSensor(known)]
    models.set(name, model)
    const account = { systemAccount: stack.stack.env['FRAMEFLEET_SYSTEM_ACCOUNT'], systemContainer: 'system' }
    await addModel(join(stack.dir, 'models'), { name, onnx: sensorOnnx(model) }, account)
  }
  await stack.api.setSchedule(id, schedule)

  const day = [...measure({ ...plant, seed: 2, from, to })].filter(isWatched)
  const late = [...measure({ ...plant, seed: 3, from: from - 4 * hourMs, to: from - 3 * hourMs })].filter(
    isWatched,
  )
  const twice = [...deliver(day, 4), ...day.slice(0, 5), ...late]
  const first = new Date(from).toISOString()
  const stranger = { TS: first, Device: 'pump-9', Tag: 'flow', Val: 1, Hour: 1 }
  const { Hour: _, ...hourless } = {
    ...stranger,
    Device: 'pump-1',
    Tag: 'pressure',
    TS: first.replace('00.000', '01.000'),
  }
  const gateway = { url: stack.stack.apiUrl, token: stack.stack.token }
  expect(await sendReadings(gateway, [...twice, stranger, hourless])).toMatchObject({
    ...{ taken: twice.length + 2, refused: 0 },
    late: late.length,
  })

  const scored = []
  const heads = new Set<string>()
  const failures: string[] = []
  let again = 0
  const warnings: string[] = []
  // Of the first nothing has come at all.
  for (const hour of [from - 2 * hourMs, from - hourMs, ...hours]) {
    const job = await runOver(stack.api, schedule, hour)
    const report = await stack.api.report(job.id)
    expect(report).toMatchObject({ status: 'succeeded' })
    failures.push(...(report.items?.failures ?? []).map(({ key, code }) => `${code} ${key}`))
    warnings.push(...report.warnings)
    again += Number(/^(\d+) .* key was there already/m.exec(report.warnings.join('\n'))?.[1] ?? 0)
    const { head, scored: those } = await readScores(stack.media, hour)
    if (those.length > 0) heads.add(head)
    scored.push(...those)
  }
  expect(scored.map(identityOf).toSorted()).toEqual([...day, ...late].map(identityOf).toSorted())
  expect([...heads]).toEqual(['TS,Device,Tag,Val,Prediction'])
  expect(failures.toSorted()).toEqual([
    expect.stringMatching(/^bad-row .*pump-1/),
    expect.stringMatching(/^unknown-model .*pump-9/),
  ])
  expect(again).toBe(twice.length - day.length - late.length)
  expect(warnings).toContain('The table has no rows: nothing is there.')

  // What the model itself says of each; those on the very edge are of either side.
  const measured = new Map([...day, ...late].map((reading) => [identityOf(reading), reading]))
  const wrong = scored.filter((row) => {
    const [model, reading] = [models.get(modelName(row.Device, row.Tag)), measured.get(identityOf(row))]
    const side = model && reading ? decide(model.svm, seen(model, reading)) : Number.NaN
    return row.Val !== reading?.Val || !(Math.abs(side) < 1e-4 || row.Prediction === Math.sign(side))
  })
  expect(wrong).toEqual([])
  expect(new Set(scored.map(({ Prediction }) => Prediction))).toEqual(new Set([1, -1]))
  const { runs } = await stack.api.schedule(id)
  expect(runs.filter(({ by, outcome }) => by === 'hand' && outcome === 'started')).toHaveLength(4)
})

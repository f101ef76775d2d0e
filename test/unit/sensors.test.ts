import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { expect, test } from 'vitest'
import { decide, trainOneClass } from '../../examples/sensors/one-class-svm.ts'
import { outcomeOf } from '../../examples/sensors/outcome.ts'
import {
  type Reading,
  createRandom,
  deliver,
  identityOf,
  measure,
  plantFaults,
  series,
} from '../../examples/sensors/readings.ts'
import schedule from '../../examples/sensors/schedule.json' with { type: 'json' }
import { seen, sensorOnnx, trainSensor } from '../../examples/sensors/sensor-model.ts'
import { modelName } from '../../examples/sensors/system.ts'
import { folderOf } from '../../src/producer/readings/reading-hours.ts'
import { Schedule } from '../../src/producer/schedules/schedule.ts'
import { parseManifest } from '../../src/shared/models/manifest.ts'
import { requestOf } from '../../src/producer/schedules/template.ts'

const root = join(import.meta.dirname, '../..')
const dayMs = 86_400_000
const learnFrom = Date.UTC(2026, 2, 1)
const dayBegins = learnFrom + 14 * dayMs
const plant = { midnight: dayBegins }
const own = (readings: Reading[], { device, tag }: { device: string; tag: string }) =>
  readings.filter(({ Device, Tag }) => Device === device && Tag === tag)

test.each([
  [0.02, 0.5],
  [0.1, 2],
  [0.5, 0.1],
])('a one-class SVM with nu %s and gamma %s is at the optimum', (nu, gamma) => {
  const random = createRandom(7)
  const rows = Array.from({ length: 300 }, () => [random() + random(), 2 * random(), random() * random()])
  const svm = trainOneClass(rows, { nu, gamma, tolerance: 1e-5 })
  const { vectors, weights } = svm
  expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(nu * rows.length, 6)
  expect(weights.every((weight) => weight > 0 && weight <= 1)).toBe(true)
  // The Karush-Kuhn-Tucker conditions: outside with all the weight there may be, on the edge with some, inside with none.
  const weightOf = new Map(vectors.map((vector, i) => [vector.join(), weights[i] ?? 0]))
  for (const row of rows) {
    const weight = weightOf.get(row.join()) ?? 0
    const side = decide(svm, row)
    expect(weight < 1 ? side : 0).toBeGreaterThan(-1e-5)
    expect(weight > 0 ? side : 0).toBeLessThan(1e-5)
  }
  // What nu promises: at most that part lies outside, at least that part bears the edge.
  const outside = rows.filter((row) => decide(svm, row) < -1e-5).length
  expect(outside).toBeLessThanOrEqual(nu * rows.length)
  expect(vectors.length).toBeGreaterThanOrEqual(nu * rows.length)
})

test('ONNX Runtime tells of each reading what the SVM itself does', async () => {
  const readings = own([...measure({ ...plant, seed: 1, from: learnFrom, to: learnFrom + 2 * dayMs })], {
    device: 'fan-1',
    tag: 'flow',
  })
  const model = trainSensor(readings)
  const session = await InferenceSession.create(sensorOnnx(model))
  const asked = readings.flatMap((reading) => [
    reading,
    { ...reading, Val: reading.Val * 1.1 },
    { ...reading, Hour: (reading.Hour + 9) % 24 },
  ])
  const rows = Float32Array.from(asked.flatMap(({ Val, Hour }) => [Val, Hour]))
  const { prediction } = await session.run({ features: new Tensor('float32', rows, [asked.length, 2]) })
  expect(prediction?.dims).toEqual([asked.length, 1])
  const told = [...((prediction?.data ?? []) as Float32Array)]
  // Those on the very edge are of either side, in float32.
  const clear = asked.map((reading) => decide(model.svm, seen(model, reading)))
  const wrong = told.filter((sign, i) => Math.abs(clear[i] ?? 0) > 1e-4 && sign !== Math.sign(clear[i] ?? 0))
  expect(wrong).toEqual([])
  expect(new Set(told)).toEqual(new Set([1, -1]))
})

test('of a day of readings the faults are found, and little else; some come twice', () => {
  const known = [...measure({ ...plant, seed: 1, from: learnFrom, to: dayBegins, stepMs: 1_200_000 })]
  const faults = plantFaults(dayBegins)
  const day = [...measure({ ...plant, seed: 2, from: dayBegins, to: dayBegins + dayMs, faults })]
  const scored = series.flatMap((each) => {
    const model = trainSensor(own(known, each))
    return own(day, each).map((reading) => ({
      ...reading,
      Prediction: Math.sign(decide(model.svm, seen(model, reading))),
    }))
  })
  const { recall, falseAlarms, ...found } = outcomeOf(scored, faults)
  expect(found).toMatchObject({ faults: 8, faultsFound: 8 })
  expect(recall).toBeGreaterThan(0.6)
  expect(falseAlarms).toBeLessThan(0.03)
  const sent = deliver(day, 4)
  expect(sent.length).toBeGreaterThan(day.length + 50)
  expect(new Set(sent.map(identityOf))).toEqual(new Set(day.map(identityOf)))
})

test('a day is the same, whenever it begins', () => {
  const values = (midnight: number) =>
    [
      ...measure({
        ...{ seed: 2, midnight, from: midnight, to: midnight + dayMs / 2 },
        faults: plantFaults(midnight),
      }),
    ].map(({ Val, Hour }) => [Val, Hour])
  expect(values(dayBegins)).toEqual(values(dayBegins + 7 * 3_600_000))
})

test('the schedule scores each hour once it is closed, from the folder where its readings are', () => {
  const { source, modelBy, output } = requestOf(
    Schedule.parse(schedule),
    Date.parse('2026-03-01T10:10:00Z'),
    (name) => `https://account.blob.core.windows.net/media/${name}`,
  )
  expect(source.table?.prefix).toBe(`readings/${folderOf(Date.parse('2026-03-01T09:00:00Z'))}/`)
  expect(modelBy?.pattern).toBe(modelName('{Device}', '{Tag}'))
  expect(output.scores?.url).toMatch(/\/media\/scores\/2026\/03\/01\/09\.csv$/)
})

test.each(globSync('examples/manifests/*.json', { cwd: root }))('%s is a manifest', async (file) => {
  const json = JSON.parse(await readFile(join(root, file), 'utf8')) as { name: string }
  expect(parseManifest(json, file)).toMatchObject({ name: basename(file, '.json'), scores: {} })
})

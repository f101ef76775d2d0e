// Trains a one-class SVM for each device and tag, lets a day of readings come in with faults in it, scores each hour once
// it is closed, and says what was found. The same seed gives the same table. `npm run example:sensors`
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { outcomeOf, tableOf } from './outcome.ts'
import { deliver, measure, plantFaults, series } from './readings.ts'
import { byHour, modelName, openModels, score, toCsv, withoutRepeats } from './score-hours.ts'
import { sensorOnnx, trainSensor } from './sensor-model.ts'

const say = (text: string) => process.stdout.write(`${text}\n`)
const folder = join(import.meta.dirname, 'out')
const dayMs = 86_400_000
const learnFrom = Date.UTC(2026, 2, 1)
const dayBegins = learnFrom + 14 * dayMs

const known = [...measure({ seed: 1, from: learnFrom, to: dayBegins, stepMs: 600_000 })]
say(`training ${series.length} models on ${known.length} readings`)
const models: [string, Uint8Array][] = []
for (const { device, tag } of series) {
  const own = known.filter(({ Device, Tag }) => Device === device && Tag === tag)
  const onnx = sensorOnnx(trainSensor(own))
  const name = modelName(device, tag)
  await mkdir(join(folder, 'models', name), { recursive: true })
  await writeFile(join(folder, 'models', name, 'model.onnx'), onnx)
  models.push([name, onnx])
}

const faults = plantFaults(dayBegins)
const arrivals = deliver(measure({ seed: 2, from: dayBegins, to: dayBegins + dayMs, faults }), 3)
const hours = byHour(arrivals)
const open = await openModels(models)
const scored = []
await mkdir(join(folder, 'scores'), { recursive: true })
for (const [hour, readings] of [...hours].sort(([a], [b]) => a - b)) {
  const those = await score(open, withoutRepeats(readings))
  const name = `${new Date(hour).toISOString().slice(0, 13).replace('T', '-')}.csv`
  await writeFile(join(folder, 'scores', name), toCsv(those))
  scored.push(...those)
}
say(
  `${arrivals.length} readings came, in ${hours.size} hours; ${scored.length} were scored, into ${folder}/scores\n`,
)
say(tableOf(outcomeOf(scored, faults)))

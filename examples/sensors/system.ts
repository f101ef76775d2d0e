import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { parse } from 'csv-parse/sync'
import { z } from 'zod'
import { uploadModel } from '../../src/cli/local-files.ts'
import { readModelFile } from '../../src/cli/model-file.ts'
import type { Client, Job, Schedule } from '../../src/client/client.ts'
import type { BlobStore } from '../../src/shared/blob-store.ts'
import type { Scored } from './outcome.ts'
import { features } from './sensor-model.ts'

/** What plants do with the system: each of these is a command or a request that anybody may make. */

const hourMs = 3_600_000
const minuteMs = 60_000
const linesAtOnce = 1_000
const compress = promisify(gzip)

export const id = 'sensors'
export const readSchedule = async () =>
  JSON.parse(await readFile(join(import.meta.dirname, 'schedule.json'), 'utf8')) as Schedule & {
    window: { minutes: number; lagMinutes: number }
  }

/** What a model is called, as the schedule's `modelBy` has it. */
export const modelName = (device: string, tag: string) => `svm-${device}-${tag}`

/** `framefleet models add` of a file, with a manifest beside it. */
export async function addModel(
  dir: string,
  { name, onnx }: { name: string; onnx: Uint8Array },
  account: { systemAccount?: string; systemContainer: string },
): Promise<string> {
  const folder = join(dir, name)
  const [model, manifest] = [join(folder, 'model.onnx'), join(folder, 'model.json')]
  await mkdir(folder, { recursive: true })
  await writeFile(model, onnx)
  const input = { kind: 'features', count: features.length }
  await writeFile(manifest, JSON.stringify({ name, input, scores: { task: 'anomaly' } }))
  // The manifest leaves nothing open.
  const ask = async () => undefined
  return await uploadModel(account, await readModelFile(model, { manifest, ask }))
}

const Taken = z.object({ taken: z.number(), late: z.number(), refused: z.number() })

/** `POST /v1/readings`, in bodies of a thousand lines, as a gateway sends them. */
export async function sendReadings(
  { url, token }: { url: string; token: string },
  readings: readonly object[],
): Promise<z.infer<typeof Taken>> {
  const all = { taken: 0, late: 0, refused: 0 }
  for (let from = 0; from < readings.length; from += linesAtOnce) {
    const lines = readings.slice(from, from + linesAtOnce).map((reading) => JSON.stringify(reading))
    const answer = await fetch(`${url}/v1/readings`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/x-ndjson',
        'content-encoding': 'gzip',
      },
      body: new Uint8Array(await compress(lines.join('\n'))),
    })
    if (!answer.ok) throw new Error(`readings were not taken: ${answer.status} ${await answer.text()}`)
    const { taken, late, refused } = Taken.parse(await answer.json())
    all.taken += taken
    all.late += late
    all.refused += refused
  }
  return all
}

/** Makes the run over the hour that begins at `hour`, and waits for its job. Throws where it has none. */
export async function runOver(api: Client, schedule: Schedule, hour: number): Promise<Job> {
  const { minutes = 0, lagMinutes = 0 } = schedule.window ?? {}
  const made = await api.runSchedule(id, {
    at: new Date(hour + (minutes + lagMinutes) * minuteMs).toISOString(),
  })
  for (;;) {
    const run = (await api.schedule(id)).runs.find(({ key }) => key === made.key)
    if (run?.outcome === 'started' && run.jobId !== undefined) return await api.waitFor(run.jobId)
    if (run?.outcome !== 'waiting' && run?.outcome !== 'starting')
      throw new Error(`the run over ${new Date(hour).toISOString()} was ${run?.outcome}: ${run?.why}`)
    // The clock has made a run of its own meanwhile, and that goes first.
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}

/** The scores of an hour, as they lie where the schedule wants them; and their first line. */
export async function readScores(media: Pick<BlobStore, 'read'>, hour: number) {
  const at = new Date(hour).toISOString().slice(0, 13).replaceAll(/[-T]/g, '/')
  const text = (await media.read(`scores/${at}.csv`))?.toString('utf8')
  if (text === undefined) throw new Error(`there are no scores of ${at}`)
  const rows: Record<string, string>[] = parse(text, { columns: true, skip_empty_lines: true })
  return {
    head: text.split('\n', 1)[0] ?? '',
    scored: rows.map(({ TS = '', Device = '', Tag = '', Val, Prediction }): Scored => ({
      ...{ TS, Device, Tag, Val: Number(Val), Prediction: Number(Prediction) },
    })),
  }
}

/** The last so many hours whose runs have come by `now`: when the first begins, and when the last ends. */
export function lastHours(count: number, now: number, { lagMinutes }: { lagMinutes: number }) {
  const to = Math.floor((now - lagMinutes * minuteMs) / hourMs) * hourMs
  return {
    from: to - count * hourMs,
    to,
    hours: Array.from({ length: count }, (_, i) => to + (i - count) * hourMs),
  }
}

/** Keeps all of those hours open for readings, and none before them. */
export const graceOver = (hours: number, { lagMinutes }: { lagMinutes: number }) => ({
  FRAMEFLEET_READINGS_GRACE_MINUTES: String(hours * 60 + lagMinutes),
})

// How long a table takes the whole system: every row by each of many models, and each row by the model of its partition.
//   npm run bench:tables [-- --help]
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Command } from 'commander'
import { createRandom } from '../examples/sensors/readings.ts'
import { sensorOnnx } from '../examples/sensors/sensor-model.ts'
import { whole } from '../src/cli/program/options.ts'
import { type Stack, startStack } from '../src/cli/embedded-stack.ts'
import { uploadModel } from '../src/cli/local-files.ts'
import { createClient } from '../src/client/client.ts'
import { connectAccount, createBlobStore } from '../src/shared/blob-store.ts'
import { Report } from '../src/shared/job.ts'
import { parseManifest } from '../src/shared/models/manifest.ts'
import { cpuByRole, watchMemory } from './processes.ts'
import { readQueueTimes } from './queue-times.ts'

type Options = { rows: number; models: number; vectors: number; workers: number; json: boolean }
const options = new Command('bench:tables')
  .description('How long a table of sensors takes the whole system.')
  .option('--rows <n>', 'rows of the table', whole(1, 1_000_000), 100_000)
  .option('--models <n>', 'models, and partitions', whole(2, 100), 15)
  .option('--vectors <n>', 'support vectors of each model', whole(1, 100_000), 200)
  .option('--workers <n>', 'worker processes', whole(1, 64), 2)
  .option('--json', 'one JSON value on standard output, nothing else', false)
  .parse()
  .opts<Options>()

const say = (line: string) => void process.stderr.write(`bench: ${line}\n`)
const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => stopping.abort(new Error('stopped before the end')))
}
const names = Array.from({ length: options.models }, (_, i) => `svm-${i}`)

/** Readings of as many devices as there are models, in turn, one each second. */
function csvOf(rows: number): string {
  const random = createRandom(7)
  const lines = Array.from({ length: rows }, (_, i) => {
    const at = new Date(Date.UTC(2026, 2, 1) + i * 1_000)
    const hour = at.getUTCHours() + at.getUTCMinutes() / 60
    return [at.toISOString(), i % options.models, (60 + 20 * random()).toFixed(4), hour.toFixed(4)].join(',')
  })
  return `TS,Device,Val,Hour\n${lines.join('\n')}\n`
}

function modelOf(n: number): Uint8Array {
  const random = createRandom(n)
  const vectors = Array.from({ length: options.vectors }, () => [
    ...[4 * random() - 2, 2 * random() - 1, 2 * random() - 1],
  ])
  const scale = { offset: [70, 0, 0], scale: [0.2, 1, 1] }
  return sensorOnnx({
    scale,
    svm: { vectors, weights: vectors.map(() => 1), rho: vectors.length / 10, gamma: 0.5 },
  })
}

const dir = await mkdtemp(join(tmpdir(), 'framefleet-bench-'))
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('FRAMEFLEET_')),
)
const busy = loadavg()[0] ?? 0
const stack = await startStack({ dir, workers: options.workers, env, port: 0, restart: false })
const memory = watchMemory(() => [...stack.roles(), ...stack.services()])
try {
  const account = { systemAccount: stack.env['FRAMEFLEET_SYSTEM_ACCOUNT'] ?? '', systemContainer: 'system' }
  for (const [n, name] of names.entries()) {
    const manifest = { name, input: { kind: 'features', count: 2 }, scores: { task: 'anomaly' } }
    await uploadModel(account, { bytes: modelOf(n), manifest: parseManifest(manifest, name) })
  }
  const media = createBlobStore(connectAccount(stack.env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''), 'media')
  await media.write('bench/readings.csv', Buffer.from(csvOf(options.rows)))
  const table = {
    ...{ url: media.url('bench/readings.csv'), format: 'csv', key: ['TS', 'Device'] },
    ...{ features: ['Val', 'Hour'], time: 'TS' },
  }
  const each = await run(stack, 'every row by each model', { source: { table }, models: names }, names.length)
  const split = await run(
    stack,
    'each row by the model of its partition',
    { source: { table: { ...table, partitionBy: ['Device'] } }, modelBy: { pattern: 'svm-{Device}' } },
    1,
  )
  const peakMb = await memory.stop()
  const result = { ...options, cores: availableParallelism(), busy, runs: [each, split], peakMb }
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`)
  else print([each, split], peakMb)
} catch (error) {
  say((error as Error).stack ?? String(error))
  process.exitCode = 1
} finally {
  await memory.stop()
  await stack.stop()
  await rm(dir, { recursive: true, force: true })
}

type Run = Awaited<ReturnType<typeof run>>

async function run(
  { apiUrl: url, token, env: settings, roles, services }: Stack,
  what: string,
  request: object,
  times: number,
) {
  const processes = () => [...roles(), ...services()]
  const api = createClient({ url, token })
  const before = await cpuByRole(processes())
  const askedAt = Date.now()
  const { id } = await api.submit({ output: { scores: { format: 'csv' } }, ...request } as never)
  say(`${what}: ${id}`)
  for (;;) {
    const { status, error, endedAt } = await api.job(id)
    if (status === 'succeeded') {
      const report = Report.parse(await api.report(id))
      if (report.items?.total !== options.rows * times || report.items.failed > 0)
        throw new Error(`${report.items?.total} rows came out, ${report.items?.failed} of them failed`)
      const cpu = await cpuByRole(processes())
      const { split, batches, stitch } = await readQueueTimes(settings, id, report.batches.planned)
      const after = (time: number) => Number(((time - askedAt) / 1_000).toFixed(1))
      return {
        ...{ what, scores: report.items.total, batches: batches.length },
        seconds: after(Date.parse(endedAt ?? '')),
        at: {
          planned: after(split.to),
          scored: after(Math.max(...batches.map(({ to }) => to))),
          stitch: after(stitch.from),
        },
        stitchMs: report.ms,
        cpu: Object.fromEntries(
          Object.entries(cpu).map(([role, seconds]) => [
            role,
            Number((seconds - (before[role] ?? 0)).toFixed(1)),
          ]),
        ),
      }
    }
    if (status === 'failed' || status === 'cancelled')
      throw new Error(`the job ${status}: ${error?.message ?? 'no reason given'}`)
    await wait(500, undefined, { signal: stopping.signal })
  }
}

function print(runs: Run[], peakMb: Record<string, number>): void {
  const list = (of: Record<string, number>) =>
    Object.entries(of)
      .filter(([, value]) => value >= 0.1)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')
  const rounded = Object.fromEntries(Object.entries(peakMb).map(([role, mb]) => [role, Math.round(mb)]))
  const lines = [
    `${options.rows} rows, ${options.models} SVMs of ${options.vectors} vectors, ${options.workers} workers, ${availableParallelism()} cores (load before: ${busy.toFixed(1)})`,
    ...runs.flatMap(({ what, seconds, scores, batches, at, cpu, stitchMs }) => [
      `${what}: ${seconds} s for ${scores} scores in ${batches} batches`,
      `  planned at ${at.planned} s, scored at ${at.scored} s, stitched from ${at.stitch} s (ms: ${list(stitchMs)})`,
      `  CPU seconds: ${list(cpu)}`,
    ]),
    `peak MB: ${list(rounded)}`,
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

// How fast the model, the engine and the whole system are on this machine; see README.md for what each number is.
//   npm run bench [-- --help]
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, extname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readModelFile } from '../src/cli/model-file.ts'
import { probeFile } from '../src/shared/media/ffprobe.ts'
import { renderClip } from './clip.ts'
import { type GrowthPoint, measureGrowth } from './growth.ts'
import { thisMachine } from './machine.ts'
import { type Options, readOptions } from './options.ts'
import { drawGrowth, drawSpeed } from './plots.ts'
import { type Results, type Round, type Setting, summarize } from './results.ts'
import { measureRound } from './rounds.ts'
import { type ModelChoice, startSystem } from './system.ts'
import { describeResults } from './table.ts'

const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => stopping.abort(new Error('stopped before the end')))
}
const { signal } = stopping
const say = (line: string) => void process.stderr.write(`bench: ${line}\n`)

const options = readOptions(process.argv, fileURLToPath(new URL('results', import.meta.url)))
const dir = await mkdtemp(join(tmpdir(), 'framefleet-bench-clip-'))
try {
  const results = await bench(options)
  const files = await keep(results, options.results)
  process.stdout.write(options.json ? `${JSON.stringify(results)}\n` : describeResults(results))
  say(`kept as ${files.join(', ')}`)
  const troubles = [
    ...(results.output_sha256 === null
      ? ['the same clip, model and settings did not always give the same bytes']
      : []),
    ...Object.entries(results.peers).flatMap(([name, seconds]) =>
      Number.isNaN(seconds) ? [`the peer ${name} failed`] : [],
    ),
  ]
  troubles.forEach(say)
  if (troubles.length > 0) process.exitCode = 1
} catch (error) {
  say(signal.aborted ? 'stopped before the end' : ((error as Error).stack ?? String(error)))
  process.exitCode = 1
} finally {
  await rm(dir, { recursive: true, force: true })
}

async function bench(given: Options): Promise<Results> {
  const path = join(dir, given.clip === undefined ? 'clip.mp4' : `clip${extname(given.clip)}`)
  if (given.clip === undefined) {
    say(`rendering ${given.seconds} s of ${given.size.width}x${given.size.height} ...`)
    await renderClip({ path, seconds: given.seconds, ...given.size })
  } else await symlink(resolve(given.clip), path)
  const warmUp = join(dir, 'warm-up.mp4')
  const { name, choice, modelPath } = await findModel(given)
  const setting = {
    model: name,
    workers: given.workers,
    clip: await describeClip(path),
    machine: thisMachine(),
  }
  const { width, height } = setting.clip
  await renderClip({ path: warmUp, seconds: 2, width, height })

  const rounds: Round[] = []
  say(`starting ${given.workers === 1 ? 'a worker' : `${given.workers} workers`}, and warming up ...`)
  const system = await startSystem(choice, given.workers, signal)
  let peaks: Record<string, number> = {}
  try {
    await system.warm(warmUp)
    for (let round = 1; round <= given.rounds; round++) {
      say(`round ${round} of ${given.rounds}`)
      const job = { system, clip: path, model: choice, modelPath, options: given, signal }
      rounds.push(await measureRound(job, (line) => say(`  ${line}`)))
    }
  } finally {
    peaks = await system.stop()
  }
  const growth = given.growth ? await grow(path, warmUp, choice) : []
  return summarize(setting, rounds, peaks, growth)
}

async function grow(clip: string, warmUp: string, model: ModelChoice): Promise<GrowthPoint[]> {
  say('growth')
  return await measureGrowth({ clip, warmUp, model, workers: options.workers, signal }, (line) =>
    say(`  ${line}`),
  )
}

async function findModel({ model, manifest }: Options) {
  if (!model.endsWith('.onnx')) {
    const [name = '', version = '1'] = model.split('@')
    const shipped = fileURLToPath(new URL(`../models/${name}/${version}/model.onnx`, import.meta.url))
    return { name, choice: model, modelPath: shipped }
  }
  const ask = async () => await Promise.resolve(undefined)
  const choice = await readModelFile(model, { manifest, ask })
  return { name: basename(model, '.onnx'), choice, modelPath: resolve(model) }
}

async function describeClip(path: string): Promise<Setting['clip']> {
  const { streams, format } = await probeFile(path, signal)
  const video = streams.find((stream) => stream.codec_type === 'video')
  const frames = Number(video?.nb_frames)
  if (!video || !(frames > 0)) throw new Error(`${path} does not say how many frames it has: take an MP4`)
  const [num = 0, den = 1] = (video.avg_frame_rate ?? '').split('/').map(Number)
  return {
    ...{ width: video.width ?? 0, height: video.height ?? 0, frames },
    seconds: Number(format.duration ?? 0),
    fps: Number((num / den).toFixed(3)),
    sha256: createHash('sha256')
      .update(await readFile(path))
      .digest('hex'),
  }
}

/** Writes the table, the plots and the JSON, named by model and size; answers their paths. */
async function keep(results: Results, folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true })
  const { model, clip } = results
  const name = join(folder, `${model}-${clip.width}x${clip.height}`)
  const grown = results.growth.length > 0
  const table = describeResults(results)
  const plots = [
    `![Frames a second](${basename(name)}.svg)`,
    ...(grown ? [`![Growth](${basename(name)}-growth.svg)`] : []),
  ]
  const files: Record<string, string> = {
    [`${name}.json`]: `${JSON.stringify(results, null, 2)}\n`,
    [`${name}.md`]: `${table}\n${plots.join('\n\n')}\n`,
    [`${name}.svg`]: `${drawSpeed(results)}\n`,
    ...(grown ? { [`${name}-growth.svg`]: `${drawGrowth(results)}\n` } : {}),
  }
  for (const [path, text] of Object.entries(files)) await writeFile(path, text)
  return Object.keys(files)
}

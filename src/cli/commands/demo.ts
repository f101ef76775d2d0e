import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { createBlobStore, connectAccount } from '../../shared/blob-store.ts'
import { Container } from '../../shared/encoding.ts'
import { InputError } from '../../shared/errors.ts'
import { type Client, type JobRequest, createClient } from '../../client/client.ts'
import { type Stack, startStack } from '../embedded-stack.ts'
import { saveDownload } from '../download.ts'
import { mustBeFile } from '../given-file.ts'
import { uploadModel, uploadVideo } from '../local-files.ts'
import { readModelFile } from '../model-file.ts'
import { print, tell } from '../output.ts'
import { renderSampleClip } from '../sample-clip.ts'
import { watchJob } from '../watch-job.ts'

export type DemoOptions = {
  model: string
  manifest?: string
  style?: string
  out?: string
  workers: number
  json: boolean
  onError: JobRequest['onError']
}

type Outcome = {
  jobId: string | null
  status: string
  frames: number
  seconds: number
  fps: number
  output: string | null
  report: string | null
  warnings: string[]
  error?: string
}

/**
 * One video through the whole system: starts an embedded stack in a temporary folder, submits, watches, fetches the
 * result, and takes everything down again, whatever happened. Answers the exit code.
 */
export async function demo(
  video: string | undefined,
  options: DemoOptions,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  const say = (line: string) => void (options.json || tell(line))
  const dir = await mkdtemp(join(tmpdir(), 'framefleet-demo-'))
  let stack: Stack | undefined
  let outcome: Outcome
  try {
    const container = containerOf(options.out)
    if (video !== undefined) await mustBeFile(video)
    const path = video ?? join(dir, 'sample.mp4')
    if (video === undefined) {
      say('rendering a sample clip ...')
      await renderSampleClip(path, dir)
    }
    say(`starting Redis, storage, a producer, ${options.workers} workers and a stitcher ...`)
    stack = await startStack({ dir, workers: options.workers, port: 0, env, restart: true, onEvent: say })
    outcome = await runJob(stack, path, { ...options, container, quiet: options.json, signal })
  } catch (error) {
    outcome = failure(signal.aborted ? 'stopped before the end' : (error as Error).message)
  } finally {
    await stack?.stop()
    await rm(dir, { recursive: true, force: true })
  }
  if (options.json) print(outcome)
  else describe(outcome)
  return outcome.status === 'succeeded' ? 0 : 1
}

type JobOptions = DemoOptions & { container?: Container; quiet: boolean; signal: AbortSignal }

/** Submits one local video to a running stack and fetches what comes of it. */
export async function runJob(
  stack: Pick<Stack, 'apiUrl' | 'token' | 'env'>,
  path: string,
  options: JobOptions,
): Promise<Outcome> {
  const api = createClient({ url: stack.apiUrl, token: stack.token })
  const media = createBlobStore(
    connectAccount(stack.env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''),
    stack.env['FRAMEFLEET_MEDIA_CONTAINER'] ?? 'media',
  )
  const model = options.model.endsWith('.onnx') ? await addModel(stack.env, options) : options.model
  const url = await uploadVideo(media, path)
  const style = options.style === undefined ? undefined : { url: await uploadVideo(media, options.style) }
  const { id } = await api.submit({
    source: { url },
    model,
    style,
    onError: options.onError,
    output: options.container ? { container: options.container } : {},
  })
  const job = await watchJob(api, id, options)
  const report = await api.report(id)
  const output = job.status === 'succeeded' ? await fetchResults(api, id, report, path, options) : undefined
  return {
    jobId: id,
    status: job.status,
    frames: report.frames,
    seconds: report.seconds,
    fps: report.fps,
    ...{
      output: output?.video ?? null,
      report: output?.report ?? null,
      warnings: report.warnings,
    },
    ...(job.error ? { error: job.error.message } : {}),
  }
}

/** Nobody is asked: a demo that stops to ask is none. */
async function addModel(env: NodeJS.ProcessEnv, { model, manifest }: DemoOptions): Promise<string> {
  const file = await readModelFile(model, { manifest, ask: async () => await Promise.resolve(undefined) })
  const systemContainer = env['FRAMEFLEET_SYSTEM_CONTAINER'] ?? 'system'
  return await uploadModel({ systemAccount: env['FRAMEFLEET_SYSTEM_ACCOUNT'], systemContainer }, file)
}

async function fetchResults(
  api: Client,
  id: string,
  report: { encoding?: { container: string } },
  path: string,
  options: JobOptions,
) {
  const name = basename(path).slice(0, -extname(path).length || undefined)
  const look = basename(options.model)
    .replace(/\.onnx$/, '')
    .replace('@', '-')
  const video = resolve(options.out ?? join('out', `${name}-${look}.${report.encoding?.container ?? 'mp4'}`))
  const stem = video.slice(0, -extname(video).length || undefined)
  await mkdir(dirname(video), { recursive: true })
  await saveDownload(await api.download(id, 'output'), video)
  await api
    .download(id, 'preview')
    .then(async (bytes) => await saveDownload(bytes, `${stem}.preview.jpg`))
    .catch(() => {})
  await writeFile(`${stem}.report.json`, `${JSON.stringify(report, null, 2)}\n`)
  return { video, report: `${stem}.report.json` }
}

function containerOf(out: string | undefined): Container | undefined {
  if (out === undefined) return undefined
  const read = Container.safeParse(extname(out).slice(1).toLowerCase())
  if (read.success) return read.data
  throw new InputError(
    'bad-output',
    `--out must end in .mp4, .mkv or .webm, not ${extname(out) || 'nothing'}.`,
  )
}

const failure = (error: string): Outcome => ({
  jobId: null,
  status: 'failed',
  frames: 0,
  seconds: 0,
  fps: 0,
  output: null,
  report: null,
  warnings: [],
  error,
})

function describe({ status, frames, seconds, fps, output, report, warnings, error }: Outcome): void {
  const lines =
    status === 'succeeded'
      ? [
          `${frames} frames in ${seconds.toFixed(1)} s (${fps.toFixed(1)} fps)`,
          `video   ${output}`,
          `report  ${report}`,
        ]
      : [`${status}: ${error ?? ''}`]
  for (const line of [...lines, ...warnings.map((warning) => `note    ${warning}`)]) tell(line)
}

import { rm } from 'node:fs/promises'
import { measureFfmpeg } from './ffmpeg-alone.ts'
import { busyShare } from './machine.ts'
import { openJob } from './finished-job.ts'
import { measureInChild } from './in-child.ts'
import { measurePeer } from './peers.ts'
import type { Options } from './options.ts'
import type { Round } from './results.ts'
import { type ModelChoice, type System, startSystem } from './system.ts'

export type RoundJob = {
  /** The fleet that is warm. */
  system: System
  /** A file in a folder of ours: what is made of it lies beside it. */
  clip: string
  model: ModelChoice
  /** Where the model lies as a file, for the peers. */
  modelPath: string
  options: Options
  signal: AbortSignal
}

/** Beyond this the figures tell of the neighbours. */
const muchBusy = 0.05

/** Everything once, in turn: what disturbs the machine for a minute disturbs all of them alike. */
export async function measureRound(job: RoundJob, say: (line: string) => void): Promise<Round> {
  const { system, clip, options, signal } = job
  const busy = await busyShare()
  if (busy > muchBusy) say(`${Math.round(busy * 100)} % of the machine is busy with something else`)
  const run = await system.run(clip)
  say(`system  ${(run.frames / run.seconds).toFixed(2)} fps`)
  const ref = { env: system.stack.env, jobId: run.jobId, clip }

  const scored = `${clip}.scored.mp4`
  const engine = await measureInChild('engine', { ...ref, output: scored }, signal)
  say(`engine  ${engine.fps.toFixed(2)} fps`)
  const { group, taken } = engine
  const model = await measureInChild('model', { ...ref, group, taken }, signal)
  say(`model   ${model.fps.toFixed(2)} fps`)
  const lanes = await measureInChild('lanes', ref, signal)
  say(`lanes   ${lanes.fps.toFixed(2)} fps`)
  const codecs = await measureInChild('codecs', { ...ref, scored, taken }, signal)
  await rm(scored)
  const ffmpegFps = await measureFfmpeg(clip, (await openJob(ref)).plan, signal)
  say(`ffmpeg  ${ffmpegFps.toFixed(2)} fps`)

  const cold = options.cold ? await measureCold(job) : undefined
  if (cold) say(`cold    ${(run.frames / cold.seconds).toFixed(2)} fps`)
  const peers: Record<string, number> = {}
  for (const peer of options.peer) {
    const files = { in: clip, out: `${clip}.${peer.name}.mp4`, model: job.modelPath }
    const seconds = await measurePeer(peer, files, signal).catch((error: Error) => {
      signal.throwIfAborted()
      // An hour of measuring is not thrown away for somebody else's failure.
      say(error.message)
      return Number.NaN
    })
    peers[peer.name] = seconds
    if (!Number.isNaN(seconds)) say(`${peer.name}  ${(run.frames / seconds).toFixed(2)} fps`)
  }
  return {
    ...{ busy, system: run, model, lanes, engine, codecs, ffmpegFps, peers },
    coldSeconds: cold?.seconds,
    outputs: [run.sha256, ...(cold ? [cold.sha256] : [])],
  }
}

/** From nothing to the output: services and roles start, the model and the clip are put in, the job is done. */
async function measureCold({ clip, model, options, signal }: RoundJob) {
  const began = Date.now()
  const system = await startSystem(model, options.workers, signal)
  try {
    const { askedAt, seconds, sha256 } = await system.score(clip)
    return { seconds: (askedAt - began) / 1_000 + seconds, sha256 }
  } finally {
    await system.stop()
  }
}

import type { CodecsRun } from './codecs-alone.ts'
import type { EngineRun } from './engine-alone.ts'
import type { GrowthPoint } from './growth.ts'
import type { Machine } from './machine.ts'
import type { ModelRun } from './model-alone.ts'
import type { SystemRun } from './system.ts'

/** What one round measured; each kind of run once, one after the other. */
export type Round = {
  /** Share of the machine that others had taken just before. */
  busy: number
  model: ModelRun
  lanes: ModelRun
  engine: EngineRun
  codecs: CodecsRun
  system: SystemRun
  coldSeconds?: number
  /** Of every video the system made in this round. */
  outputs: string[]
  ffmpegFps: number
  /** Seconds; NaN for one that failed. */
  peers: Record<string, number>
}

export type Setting = {
  model: string
  workers: number
  clip: { width: number; height: number; frames: number; seconds: number; fps: number; sha256: string }
  machine: Machine
}

export type Results = ReturnType<typeof summarize>

/** The medians of the rounds, under the names that README.md explains. */
export function summarize(
  setting: Setting,
  rounds: Round[],
  peaks: Record<string, number>,
  growth: GrowthPoint[],
) {
  const { machine, clip } = setting
  const of = (read: (round: Round) => number) => median(rounds.map(read))
  const system = (read: (run: SystemRun) => number) => of((round) => read(round.system))
  const perFrame = {
    // Whichever way of running it takes less: the bound is to be out of reach.
    model: Math.min(
      of(({ model }) => model.cpuSecondsPerFrame),
      of(({ lanes }) => lanes.cpuSecondsPerFrame),
    ),
    decode: of(({ codecs }) => codecs.decode),
    encode: of(({ codecs }) => codecs.encode),
  }
  const cold = rounds.flatMap(({ coldSeconds }) => coldSeconds ?? [])
  const outputs = new Set(rounds.flatMap((round) => round.outputs))
  return {
    model_fps: rounded(of(({ model }) => model.fps)),
    model_lanes_fps: rounded(of(({ lanes }) => lanes.fps)),
    engine_fps: rounded(of(({ engine }) => engine.fps)),
    bound_fps: rounded(machine.cores / (perFrame.model + perFrame.decode + perFrame.encode)),
    system_fps: rounded(system(({ frames, seconds }) => frames / seconds)),
    system_cold_fps: cold.length > 0 ? rounded(clip.frames / median(cold)) : null,
    ffmpeg_fps: rounded(of(({ ffmpegFps }) => ffmpegFps)),
    first_segment_s: rounded(system(({ at }) => at.firstSegment)),
    stitch_s: rounded(system(({ stitchMs }) => sum(stitchMs) / 1_000)),
    peak_rss_mb: mapped({ ...peaks, engine_alone: of(({ engine }) => engine.peakMb) }, Math.round),
    blob_ops_per_frame: rounded(system(({ storage, frames }) => sum(storage.operations) / frames)),
    bytes_written_per_frame: Math.round(system(({ storage, frames }) => storage.bytesWritten / frames)),
    growth,
    peers: medians(rounds.map(({ peers }) => peers)),
    device: rounds[0]?.engine.device ?? 'unknown',
    ...setting,
    rounds: rounds.length,
    /** Null when the same clip did not always become the same bytes. */
    output_sha256: outputs.size === 1 ? ([...outputs][0] ?? null) : null,
    cpu_ms_per_frame: mapped(perFrame, inMs),
    engine_cpu_ms_per_frame: mapped(medians(rounds.map(({ engine }) => engine.cpu)), inMs),
    system_cpu_ms_per_frame: mapped(
      medians(rounds.map((round) => mapped(round.system.cpu, (seconds) => seconds / clip.frames))),
      inMs,
    ),
    system_s: mapped(
      {
        ...medians(rounds.map((round) => round.system.at)),
        end: system(({ seconds }) => seconds),
      },
      rounded,
    ),
    stitch_ms: medians(rounds.map((round) => round.system.stitchMs)),
    batch_ms: medians(rounds.map((round) => round.system.batchMs)),
    batches: system(({ batches }) => batches),
    blob_ops: medians(rounds.map((round) => round.system.storage.operations)),
    /** Everything that was measured, round by round: how far to trust a median. */
    every_round: rounds.map((round) => ({
      busy_before: rounded(round.busy),
      model_fps: rounded(round.model.fps),
      model_lanes_fps: rounded(round.lanes.fps),
      engine_fps: rounded(round.engine.fps),
      system_fps: rounded(round.system.frames / round.system.seconds),
      ...(round.coldSeconds === undefined
        ? {}
        : { system_cold_fps: rounded(clip.frames / round.coldSeconds) }),
      ffmpeg_fps: rounded(round.ffmpegFps),
      peers: mapped(round.peers, rounded),
    })),
  }
}

function median(values: number[]): number {
  if (values.some(Number.isNaN)) return Number.NaN
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2
}

function medians(records: Record<string, number>[]): Record<string, number> {
  const names = new Set(records.flatMap(Object.keys))
  return Object.fromEntries(
    [...names].map((name) => [name, rounded(median(records.map((each) => each[name] ?? 0)), 6)]),
  )
}

function mapped<Key extends string>(
  record: Record<Key, number>,
  change: (value: number) => number,
): Record<Key, number> {
  return Object.fromEntries(
    Object.entries<number>(record).map(([key, value]) => [key, change(value)]),
  ) as Record<Key, number>
}

const sum = (record: Record<string, number>) => Object.values(record).reduce((a, b) => a + b, 0)
const inMs = (seconds: number) => rounded(seconds * 1_000)

/** Three digits after the point tell more than any two runs agree on. */
function rounded(value: number, digits = 3): number {
  return Number(value.toFixed(digits))
}

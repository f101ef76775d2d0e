import { writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { audioEncoder, keepsAudio, keepsSubtitles, muxers } from '../shared/encoding.ts'
import { batchStarts, timesAt, toMicroseconds } from '../shared/frame-times.ts'
import type { Plan, VideoPlan } from '../shared/job.ts'
import { runFfmpeg } from '../shared/media/ffmpeg.ts'
import { readPackets } from '../shared/media/ffprobe.ts'

type AssembleJob = {
  plan: VideoPlan
  /** Segment files, in order. */
  segments: string[]
  /** The source file: its sound, subtitles, chapters and titles go along. */
  source: string
  dir: string
  signal: AbortSignal
}

/** Workers write segments: each is opened as the one format that they are of. */
const concat = ['-f', 'concat', '-safe', '0', '-format_whitelist', 'concat,mov']

/**
 * Joins the segments by stream copy and adds what the source has besides pictures. Answers the path of the video.
 * Throws when the result does not have the plan's frames: that is a defect, and must not be published.
 */
export async function assemble(job: AssembleJob): Promise<string> {
  const { plan, source, dir, signal } = job
  const { container, codec } = plan.encoding
  const list = join(dir, 'segments.ffconcat')
  await writeFile(list, concatList(job))
  const output = join(dir, `output.${container}`)
  const videoAt = videoOffsetSeconds(plan)
  await runFfmpeg(
    [
      {
        path: list,
        options: [...concat, ...(videoAt > 0 ? ['-itsoffset', videoAt.toFixed(6)] : [])],
      },
      { path: source },
    ],
    {
      path: output,
      options: [
        ...[
          '-map',
          '0:v:0',
          '-c:v',
          'copy',
          ...(container === 'mp4' && codec === 'hevc' ? ['-tag:v', 'hvc1'] : []),
        ],
        ...soundOptions(plan),
        ...subtitleOptions(plan),
        ...['-map_metadata', '1', '-map_chapters', '1', '-metadata:s:v:0', 'rotate=', '-fflags', '+bitexact'],
        ...(container === 'mp4'
          ? ['-video_track_timescale', `${plan.video.timeBase[1]}`, '-movflags', '+faststart']
          : []),
        ...['-f', muxers[container].format],
      ],
    },
    { signal },
  )
  await expectFrames(output, plan, signal)
  return output
}

/**
 * ffmpeg's list of files to join. Each duration is the difference of two absolute times, each rounded once: over a
 * thousand segments the errors cancel instead of adding up.
 */
function concatList({ plan, segments }: AssembleJob): string {
  const ticks = timesAt(plan.times, batchStarts(plan.batches))
  const starts = ticks.map((tick) => toMicroseconds(tick - plan.times.first, plan.video.timeBase))
  const lines = segments.map((path, i) => {
    const next = starts[i + 1]
    const duration =
      next === undefined ? '' : `\nduration ${((next - (starts[i] as number)) / 1e6).toFixed(6)}`
    // Names are relative to the list, and ours: nothing in them needs quoting.
    return `file ${basename(path)}${duration}`
  })
  return `ffconcat version 1.0\n${lines.join('\n')}\n`
}

/** How long after the start of the source's clock its first frame is shown: sound may come before it. */
function videoOffsetSeconds(plan: Plan): number {
  return toMicroseconds(plan.times.first, plan.video.timeBase) / 1e6 - plan.startSeconds
}

function soundOptions({ audio, encoding: { container } }: VideoPlan): string[] {
  return audio.flatMap(({ index, codec }, i) => [
    ...['-map', `1:${index}`, `-c:a:${i}`],
    ...(keepsAudio(container, codec) ? ['copy'] : [audioEncoder(container)]),
  ])
}

function subtitleOptions({ subtitles, encoding: { container } }: VideoPlan): string[] {
  return subtitles
    .filter(({ codec }) => keepsSubtitles(container, codec))
    .flatMap(({ index }) => ['-map', `1:${index}`, '-c:s', 'copy'])
}

async function expectFrames(path: string, plan: Plan, signal: AbortSignal): Promise<void> {
  let frames = 0
  for await (const packet of readPackets(path, 0, { signal })) if (!packet.discard) frames++
  if (frames !== plan.frames)
    throw new Error(`the stitched video has ${frames} frames, the plan ${plan.frames}`)
}

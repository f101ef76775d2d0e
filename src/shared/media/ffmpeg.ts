import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import fluent from 'fluent-ffmpeg'
import { TransientError } from '../errors.ts'
import { redact } from '../redact.ts'

/**
 * The only place that starts ffmpeg and ffprobe. fluent-ffmpeg builds the command lines; running them is ours: a
 * watchdog ends a program that makes no progress, an abort signal ends it at once, and a failure carries the tail of
 * what it said.
 */
export class MediaToolError extends Error {
  override name = 'MediaToolError'
  /** The last lines of standard error, cleaned of secrets. */
  readonly tail: string
  constructor(program: string, how: string, tail: string) {
    super(`${program} ${how}${tail ? `: ${tail.split('\n').at(-1)}` : ''}`)
    this.tail = tail
  }
}

/**
 * What sources are read as. Playlists and manifests are none of them: they open other files, or never end. Neither are single
 * pictures.
 */
export const sourceFormats = [
  ...[
    'mov',
    'matroska',
    'avi',
    'mpegts',
    'mpeg',
    'asf',
    'flv',
    'ogg',
    'mxf',
    'nut',
    'ivf',
    'obu',
    'av1',
    'dv',
    'gif',
  ],
  ...['h264', 'hevc', 'mpegvideo', 'm4v', 'yuv4mpegpipe'],
]
export const mostStreams = 100
/** Of a picture: 8K with room. A tiny file can declare any size. */
export const mostPixels = 64e6

/** Options of every input that comes from somebody else. */
export const sourceInput = [
  ...['-protocol_whitelist', 'file,pipe', '-format_whitelist', sourceFormats.join(',')],
  ...['-max_streams', String(mostStreams)],
]

/** No single piece of memory larger than this, in bytes: a picture of the largest size taken has room in it. */
const largestBlock = 1e9

/** An input whose options name its format is one of ours; any other may hold anything. */
export type MediaInput = { path: string; options?: string[] }
export type MediaOutput = { path: string; options: string[] }

/** The command line of a conversion. Media may only come from local files and pipes, whatever a playlist says. */
export function ffmpegArgs(inputs: MediaInput[], outputs: MediaOutput | MediaOutput[]): string[] {
  // Its own runner asks ffmpeg for its formats and codecs anew before every run; we want the line alone.
  const command = fluent() as fluent.FfmpegCommand & { _getArguments(): string[] }
  for (const { path, options = [] } of inputs) {
    const guard = options.includes('-f') ? ['-protocol_whitelist', 'file,pipe'] : sourceInput
    command.input(path).inputOptions([...guard, ...options])
  }
  for (const { path, options } of [outputs].flat()) command.output(path).outputOptions(options)
  const general = ['-hide_banner', '-nostdin', '-v', 'error', '-max_alloc', String(largestBlock)]
  return [...general, ...command._getArguments()]
}

export type MediaProcess = {
  stdin: Writable
  stdout: Readable
  /** Resolves when the program ended well; throws MediaToolError, TransientError (stalled, killed) or the abort's reason. */
  done: Promise<void>
  /** Tells the watchdog that work goes on. */
  touch(): void
  /** While this promise is pending it is we who keep the program waiting: the watchdog looks away. */
  hold<T>(ours: Promise<T>): Promise<T>
  /** For a program started with `watched: false`: only while this promise is pending must it make progress. */
  watch<T>(its: Promise<T>): Promise<T>
  kill(): void
  /** The last of what it said on standard error, cleaned of secrets. */
  said(): string
}

type RunOptions = { signal?: AbortSignal; stallMs?: number; pipeIn?: boolean; watched?: boolean }

const tailBytes = 4_000
const graceMs = 2_000
/** Signals that somebody else sends, such as a kernel short of memory: they say nothing about the media. */
const fromOutside = new Set<NodeJS.Signals>(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'])

/** Runs a program that may have no more memory than 3 GB: an index can name more samples than any machine holds. */
const withinMemory = ['sh', '-c', 'ulimit -v 3000000; exec "$0" "$@"']

const notInstalled = (program: string) => new Error(`${program} is not installed; run: npx framefleet doctor`)

/** It reads strangers' files: should one of them take it over, it must not find our accounts and tokens beside it. */
const plainEnvironment = () =>
  Object.fromEntries(
    ['PATH', 'LD_LIBRARY_PATH', 'TMPDIR', 'TZ', 'LANG'].flatMap((name) =>
      process.env[name] === undefined ? [] : [[name, process.env[name]]],
    ),
  )

/** Starts a program. The caller must await `done`, and read `stdout` to its end. */
export function startMedia(
  program: 'ffmpeg' | 'ffprobe',
  args: string[],
  options: RunOptions = {},
): MediaProcess {
  const { signal, stallMs = 60_000, pipeIn = false, watched = true } = options
  // ffmpeg tells of its progress on a channel of its own, also while it decodes what it will not put out.
  const progress = program === 'ffmpeg' ? ['-progress', 'pipe:3', '-nostats'] : []
  const [command, ...rest] = [...(program === 'ffprobe' ? withinMemory : []), program, ...progress, ...args]
  const child = spawn(command as string, rest, {
    env: plainEnvironment(),
    stdio: [pipeIn ? 'pipe' : 'ignore', 'pipe', 'pipe', 'pipe'],
  })
  let tail = ''
  let stalled = false
  let holds = watched ? 0 : 1
  const watchdog = setTimeout(() => {
    if (holds > 0) {
      watchdog.refresh()
      return
    }
    stalled = true
    end(child)
  }, stallMs)
  const touch = () => watchdog.refresh()
  const said = () => redact(tail.trim())
  const hold = async <T>(ours: Promise<T>): Promise<T> => {
    holds++
    try {
      return await ours
    } finally {
      holds--
      touch()
    }
  }
  const watch = async <T>(its: Promise<T>): Promise<T> => {
    holds--
    touch()
    try {
      return await its
    } finally {
      holds++
    }
  }
  const abort = () => end(child)
  if (signal?.aborted) abort()
  else signal?.addEventListener('abort', abort, { once: true })

  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    tail = (tail + text).slice(-tailBytes)
  })
  child.stdio[3]?.on('data', touch)
  // A program that dies closes its input under us; its exit code says why, the broken pipe adds nothing.
  child.stdin?.on('error', () => {})

  const done = new Promise<void>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'ENOENT' ? notInstalled(program) : error)
    })
    child.once('close', (code, killedBy) => {
      if (signal?.aborted) reject(signal.reason as Error)
      else if (stalled)
        reject(new TransientError(`${program} made no progress for ${stallMs / 1_000} s and was ended`))
      else if (code === 0) resolve()
      else if (code === 127) reject(notInstalled(program))
      else if (killedBy && fromOutside.has(killedBy))
        reject(new TransientError(`${program} was killed by ${killedBy}`))
      else
        reject(
          new MediaToolError(program, killedBy ? `was killed by ${killedBy}` : `failed (${code})`, said()),
        )
    })
  }).finally(() => {
    clearTimeout(watchdog)
    signal?.removeEventListener('abort', abort)
  })
  // Whoever started us may be busy with the streams when it fails; the failure waits for them.
  done.catch(() => {})
  return {
    stdin: child.stdin as Writable,
    stdout: child.stdout as Readable,
    done,
    touch,
    hold,
    watch,
    said,
    kill: () => end(child),
  }
}

/** Runs a conversion between files, to its end. */
export async function runFfmpeg(
  inputs: MediaInput[],
  output: MediaOutput | MediaOutput[],
  options: RunOptions = {},
): Promise<void> {
  const run = startMedia('ffmpeg', ffmpegArgs(inputs, output), options)
  run.stdout.resume()
  await run.done
}

type ReadOptions = RunOptions & { onComplaint?: (said: string) => void }

/**
 * Runs a program and gives its standard output line by line, whatever its length. A program that ends well but had
 * something to say on standard error is heard by `onComplaint`.
 */
export async function* readLines(program: 'ffmpeg' | 'ffprobe', args: string[], options: ReadOptions = {}) {
  const run = startMedia(program, args, options)
  let rest = ''
  let ended = false
  try {
    for await (const chunk of run.stdout.setEncoding('utf8') as AsyncIterable<string>) {
      run.touch()
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      yield* lines
    }
    ended = true
    if (rest) yield rest
  } finally {
    if (!ended) run.kill()
  }
  await run.done
  if (run.said()) options.onComplaint?.(run.said())
}

function end(child: ChildProcess) {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const force = setTimeout(() => child.kill('SIGKILL'), graceMs)
  child.once('exit', () => clearTimeout(force))
}

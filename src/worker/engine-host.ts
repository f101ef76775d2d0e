import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { classify } from '../shared/classify.ts'
import { LostError, ResourceError } from '../shared/errors.ts'
import type { BatchPayload, BatchResult } from '../shared/job.ts'
import type { Logger } from '../shared/log.ts'
import { unpackError } from '../shared/packed-error.ts'
import { hearEngine } from './engine-output.ts'
import { type FromEngine, type Manner, type ToEngine, aliveMs } from './engine-protocol.ts'

export type ScoreCall = {
  signal: AbortSignal
  /** What the engine's log lines carry. */
  fields: Record<string, unknown>
  manner: Manner
  onDecoded?(): void
}

type Call = {
  resolve(result?: BatchResult): void
  reject(error: Error): void
  onDecoded(): void
  /** Its frames have reached the model: if the engine dies, it may be the reason. */
  scoring: boolean
}

type Started = { child: ChildProcess; calls: Map<number, Call> }

/** An engine that is asked to leave is gone by then, or is killed: a runtime that hangs hears nothing. */
const leaveMs = 5_000

/** An engine that says nothing for so many beats hangs, or was stopped: its batches would wait for ever under a lease that is renewed. */
const silentBeats = 10

/**
 * Keeps an engine process, and hands batches to it, several at a time. Its log lines go to `relay`. It is a process of its own so that nothing the
 * runtime or a model does can hold up the lease's renewal here, or take this process with it.
 *
 *   none ──first batch──► running ──dies──► none      its batches fail; those not yet at the model are only given back
 *     ▲                      │  └──close──► gone
 *     └── a resource error ──┘                        its other batches end in it, the next one starts a new engine
 */
export type EngineHost = ReturnType<typeof createEngineHost>

export function createEngineHost(main: URL, log: Logger, relay: (line: string) => void) {
  let engine: Started | undefined
  let numbers = 0

  function start(): Started {
    const child = fork(main, { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] })
    if (child.stderr) hearEngine(child.stderr, relay, log.child({ engine: child.pid }))
    const calls = new Map<number, Call>()
    const started: Started = { child, calls }
    let missed = 0
    // Beats are counted, not milliseconds: this process may have been stopped itself.
    const pulse = setInterval(() => {
      if (++missed < silentBeats) return
      log.warn({ engine: child.pid }, 'the engine is silent: killing it')
      child.kill('SIGKILL')
    }, aliveMs)
    child.on('message', (message: FromEngine) => {
      missed = 0
      hear(calls, message)
    })
    child.on('error', (error) => log.warn({ err: error.message }, 'engine trouble'))
    child.once('exit', (code, signal) => {
      clearInterval(pulse)
      if (engine === started) engine = undefined
      const culprits = [...calls.values()].some(({ scoring }) => scoring)
      const how = `its engine died (${signal ?? `exit ${code}`})`
      // Without anybody to suspect it is the engine itself that can't live: giving back would go on for ever.
      for (const call of calls.values())
        call.reject(culprits && !call.scoring ? new LostError(how) : new ResourceError(how))
    })
    log.info({ engine: child.pid }, 'engine started')
    return started
  }

  async function ask(
    message: (call: number) => ToEngine,
    { signal, onDecoded }: { signal: AbortSignal; onDecoded(): void },
  ): Promise<BatchResult | undefined> {
    engine ??= start()
    const current = engine
    const { child, calls } = current
    const call = ++numbers
    const abort = () => send(child, { abort: String(signal.reason ?? 'told to leave'), call })
    signal.addEventListener('abort', abort, { once: true })
    try {
      return await new Promise<BatchResult | undefined>((resolve, reject) => {
        calls.set(call, { resolve, reject, onDecoded, scoring: false })
        send(child, message(call))
        if (signal.aborted) abort()
      })
    } catch (error) {
      if (classify(error) === 'resource' && engine === current) engine = undefined
      throw error
    } finally {
      calls.delete(call)
      signal.removeEventListener('abort', abort)
      if (engine !== current && calls.size === 0) void dismiss(child)
    }
  }

  async function close(): Promise<void> {
    if (!engine) return
    const { child } = engine
    engine = undefined
    await dismiss(child)
  }

  return {
    /** Starts the engine ahead of its first batch. */
    begin(): void {
      engine ??= start()
    },
    /** Scores a batch in the engine. Throws what the engine threw, ResourceError when it died. */
    async score(
      batch: BatchPayload,
      { signal, fields, manner, onDecoded = () => {} }: ScoreCall,
    ): Promise<BatchResult> {
      const result = await ask((call) => ({ score: batch, manner, call, fields }), { signal, onDecoded })
      if (!result) throw new Error('the engine answered without a result')
      return result
    },
    /** Resolves when the engine can score anything at all; throws as `score` does. */
    async check(signal: AbortSignal): Promise<void> {
      await ask((call) => ({ check: true, call }), { signal, onDecoded: () => {} })
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

async function dismiss(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  const force = setTimeout(() => child.kill('SIGKILL'), leaveMs)
  // The engine has nobody to work for then, and leaves.
  if (child.connected) child.disconnect()
  await gone
  clearTimeout(force)
}

function hear(calls: Map<number, Call>, message: FromEngine): void {
  if ('alive' in message) return
  const call = calls.get(message.call)
  if (!call) return
  if ('result' in message) call.resolve(message.result)
  else if ('fit' in message) call.resolve()
  else if ('failed' in message) call.reject(unpackError(message.failed))
  else if (message.reached === 'scoring') call.scoring = true
  else call.onDecoded()
}

function send(child: ChildProcess, message: ToEngine): void {
  // A channel that is gone is told by the exit that follows.
  if (child.connected) child.send(message, () => {})
}

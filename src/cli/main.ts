#!/usr/bin/env node
import { CommanderError } from 'commander'
import { UsageError, exitCodeOf, tellFailure, tellJson } from './failure.ts'
import { createProgram } from './program/program.ts'

const stopping = new AbortController()
let asked = 0
const stop = () => {
  stopping.abort(new Error('stopped'))
  // The second time means now; what the embedded stack started dies with this process.
  if (++asked > 1) process.exit(130)
}
process.on('SIGINT', stop)
process.on('SIGTERM', stop)
const { signal } = stopping

// Whoever read has had enough, as `head` has: no failure of ours, and nothing is left to say.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})
// What stands there is beside the point: what was asked for is done all the same.
process.stderr.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

const program = createProgram({
  env: process.env,
  signal,
  end: async (code) => void (process.exitCode = await code),
})

await program.parseAsync().catch((error: unknown) => {
  process.exitCode = failed(error)
})

function failed(error: unknown): number {
  const json = process.argv.includes('--json')
  if (error instanceof CommanderError) {
    // Help that was asked for ends by an error of code 0; the rest of commander's is said already, on how to call.
    if (error.exitCode === 0) return 0
    if (json) tellJson(new UsageError(error.message.replace(/^error: /, '')))
    return 2
  }
  if (signal.aborted) return 130
  tellFailure(error, json)
  return exitCodeOf(error)
}

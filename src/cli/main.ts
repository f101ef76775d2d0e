#!/usr/bin/env node
import { CommanderError } from 'commander'
import { exitCodeOf, tellFailure } from './failure.ts'
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

const program = createProgram({
  env: process.env,
  signal,
  end: async (code) => void (process.exitCode = await code),
})

await program.parseAsync().catch((error: unknown) => {
  process.exitCode = failed(error)
})

function failed(error: unknown): number {
  // Help that was asked for ends by an error of code 0; the rest of commander's is said already, on how to call.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (signal.aborted) return 130
  tellFailure(error, process.argv.includes('--json'))
  return exitCodeOf(error)
}

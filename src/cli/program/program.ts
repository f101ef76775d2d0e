import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { addCompletion } from './completion.ts'
import { addFleetCommands } from './fleet.ts'
import { addJobCommands } from './jobs.ts'
import { addModelCommands } from './models.ts'
import type { Context } from './options.ts'
import { addQuarantineCommands } from './quarantine.ts'
import { addScheduleCommands } from './schedules.ts'
import { addStackCommands } from './stack.ts'
import { addTriggerCommands } from './triggers.ts'

const exitCodes = `
Exit codes:
  0    done
  1    the job or a check failed, or the system refused what was asked for
  2    used wrongly
  3    the system can't be reached, or refuses the token
  130  interrupted`

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

/**
 * The command line, declared by subject. What a command does is loaded when it is called, so that help and completion
 * come at once.
 */
export function createProgram(context: Context): Command {
  const program = new Command('framefleet')
    .description('Every frame of a video, scored by a model, on a fleet of workers.')
    .version(version, '--version', 'print the version')
    .showHelpAfterError('(framefleet --help lists the commands)')
    .addHelpText('after', exitCodes)
    .exitOverride()
  addStackCommands(program, context)
  addJobCommands(program, context)
  addFleetCommands(program, context)
  addModelCommands(program, context)
  addTriggerCommands(program, context)
  addScheduleCommands(program, context)
  addQuarantineCommands(program, context)
  addCompletion(program)
  return program
}

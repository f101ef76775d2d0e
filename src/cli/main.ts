#!/usr/bin/env node
import { Command, InvalidArgumentError, Option } from 'commander'
import { mostInstances } from '../shared/fleet.ts'
import { redact } from '../shared/redact.ts'
import { demo } from './commands/demo.ts'
import { doctor } from './commands/doctor.ts'
import { setFleet, showFleet } from './commands/fleet.ts'
import { cancel, submit, token, watch } from './commands/jobs.ts'
import { addModel, listModels } from './commands/models.ts'
import { dropQuarantined, listQuarantine, retryQuarantined, showQuarantined } from './commands/quarantine.ts'
import { resume } from './commands/resume.ts'
import { up } from './commands/up.ts'

const { env } = process
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

function count(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > 64)
    throw new InvalidArgumentError('must be a whole number from 1 to 64.')
  return value
}

function port(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > 65_535)
    throw new InvalidArgumentError('must be a port number.')
  return value
}

function page(most: number) {
  return (text: string): number => {
    const value = Number(text)
    if (!Number.isInteger(value) || value < 0 || value > most)
      throw new InvalidArgumentError(`must be a whole number up to ${most}.`)
    return value
  }
}

/** Commands answer their exit code: 0 done, 1 the job or a check failed, 2 used wrongly. */
const ending = (code: Promise<number>) => code.then((value) => void (process.exitCode = value))

const json = new Option('--json', 'one JSON value on standard output, nothing else').default(false)
const dir = new Option('--dir <folder>', 'where the local stack keeps its data').default('.framefleet')
const onError = new Option('--on-error <what>', 'what a frame that cannot be decoded does')
  .choices(['fail', 'passthrough'])
  .default('fail')

const ranges = ['0..1', '0..255', '-1..1', 'imagenet']
const style = new Option('--style <file|url>', 'style image, for a model that takes one')

const program = new Command('framefleet')
  .description('Every frame of a video, scored by a model, on a fleet of workers.')
  .showHelpAfterError('(framefleet --help lists the commands)')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))

program
  .command('up')
  .description('run the whole system on this machine: Redis, storage, producer, workers, stitcher')
  .option(
    '--workers <n>',
    'worker processes: one scores as many frames side by side as there are cores',
    count,
    1,
  )
  .option('--autoscale', 'start workers when there is work, and stop them when there is none', false)
  .option('--min <n>', 'with --autoscale: never fewer workers', page(64), 0)
  .option('--max <n>', 'with --autoscale: never more workers', count, 4)
  .option('--port <n>', 'port of the API', port, 8080)
  .addOption(dir)
  .action((options) => ending(up(options, env, signal)))

program
  .command('demo [video]')
  .description(
    'score one video (or a clip rendered for the occasion) with a stack of its own, and take it down again',
  )
  .option('--model <name|path.onnx>', 'model', 'great-wave')
  .option('--manifest <file>', "the model's model.json, for a model given as a path")
  .option('--style <file>', 'style image, for a model that takes one')
  .option('--out <file>', 'where to write the video; its extension picks the container')
  .option(
    '--workers <n>',
    'worker processes: one scores as many frames side by side as there are cores',
    count,
    1,
  )
  .addOption(onError)
  .addOption(json)
  .action((video, options) => ending(demo(video, options, env, signal)))

program
  .command('submit <file|url>')
  .description('submit a video; prints the job id')
  .option('--model <name>', 'model, or model@version', 'great-wave')
  .addOption(style)
  .option('--container <name>', 'mp4, mkv or webm; follows the source by default')
  .option('--codec <name>', 'h264, hevc, vp9 or av1')
  .option('--wait', 'follow the job to its end', false)
  .addOption(onError)
  .addOption(dir)
  .addOption(json)
  .action((source, options) => ending(submit(source, options, env, signal)))

program
  .command('watch <id>')
  .description('follow a job to its end')
  .addOption(dir)
  .addOption(json)
  .action((id, options) => ending(watch(id, options, env, signal)))

program
  .command('cancel <id>')
  .description('stop a job and delete what it made so far')
  .addOption(dir)
  .addOption(json)
  .action((id, options) => ending(cancel(id, options, env)))

program
  .command('resume [id]')
  .description('put a job back on the queues from what lies in storage; what is done is not done again')
  .option('--all', 'every job that has not ended', false)
  .option('--again', 'run a job anew that failed or was cancelled', false)
  .addOption(dir)
  .addOption(json)
  .action((id, options) => ending(resume(id, options, env)))

const quarantine = program
  .command('quarantine')
  .description('what was taken out of the way: work that fails each time, and what can not be read')
quarantine
  .command('list', { isDefault: true })
  .description('list the records, newest first')
  .option('--offset <n>', 'records to leave out', page(10_000), 0)
  .option('--limit <n>', 'most records to list', page(100), 20)
  .addOption(dir)
  .addOption(json)
  .action((options) => ending(listQuarantine(options, env)))
quarantine
  .command('show <id>')
  .description('one record, with its evidence')
  .addOption(dir)
  .addOption(json)
  .action((id, options) => ending(showQuarantined(id, options, env)))
quarantine
  .command('retry <id>')
  .description("run the record's job again, if it has failed")
  .addOption(dir)
  .addOption(json)
  .action((id, options) => ending(retryQuarantined(id, options, env)))
quarantine
  .command('drop <id>')
  .description('drop a record')
  .addOption(dir)
  .addOption(json)
  .action((id, options) => ending(dropQuarantined(id, options, env)))

const fleet = program.command('fleet').description('who is there to work, and how many may be')
fleet
  .command('show', { isDefault: true })
  .description('what is set, what the autoscaler decided, and every worker')
  .addOption(dir)
  .addOption(json)
  .action((options) => ending(showFleet(options, env)))
fleet
  .command('set')
  .description('set what is given; the rest stays as it is')
  .option('--min <n>', 'never fewer instances', page(mostInstances))
  .option('--max <n>', 'never more instances', page(mostInstances))
  .option('--size <n|auto>', 'exactly so many; auto leaves it to the autoscaler', (text) =>
    text === 'auto' ? text : page(mostInstances)(text),
  )
  .addOption(new Option('--pause', 'the autoscaler starts and removes nothing').conflicts('resume'))
  .option('--resume', 'the autoscaler goes on')
  .addOption(dir)
  .addOption(json)
  .action((options) => ending(setFleet(options, env)))

const models = program.command('models').description('list the models, or add one')
models
  .command('list', { isDefault: true })
  .description('list the models')
  .addOption(dir)
  .addOption(json)
  .action((options) => ending(listModels(options, env)))
models
  .command('add <model.onnx>')
  .description('look a model over, run it once, and store it for jobs to name')
  .option('--manifest <file>', 'its model.json; by default the one beside it')
  .option('--as <name[@version]>', 'what jobs call it; the file name by default')
  .option('--style <image>', 'for a model with a style input: the style it has when a job names none')
  .addOption(new Option('--range <range>', 'what its numbers mean').choices(ranges))
  .addOption(new Option('--output-range <range>', 'where the output differs').choices(ranges))
  .addOption(new Option('--channels <order>', 'RGB or BGR').choices(['RGB', 'BGR']))
  .addOption(new Option('--layout <layout>', 'where the graph does not say').choices(['NCHW', 'NHWC']))
  .addOption(
    new Option('--fit <how>', 'of frames to a model of one size').choices(['stretch', 'letterbox', 'tile']),
  )
  .option('--half', 'turn its inside to float16, for GPUs; refused where the pictures would change', false)
  .option('--dry-run', 'print the manifest it would have, store nothing', false)
  .addOption(dir)
  .addOption(json)
  .action((path, options) => ending(addModel(path, options, env)))
program
  .command('token')
  .description("print the local stack's API token")
  .addOption(dir)
  .addOption(json)
  .action((options) => ending(token(options, env)))
program
  .command('doctor')
  .description('say what is missing here, and the command that mends it')
  .addOption(json)
  .action((options) => ending(doctor(options)))

await program.parseAsync().catch((error: unknown) => {
  if (!signal.aborted) process.stderr.write(`framefleet: ${redact((error as Error).message)}\n`)
  process.exitCode = signal.aborted ? 130 : 1
})

import { type Command, Option } from 'commander'
import { type Context, dir, examples, json, onError, whole } from './options.ts'

const states = ['queued', 'splitting', 'scoring', 'stitching', 'succeeded', 'failed', 'cancelled']

/** Jobs, from the file to the finished video. */
export function addJobCommands(program: Command, { env, signal, end }: Context): void {
  const submit = program
    .command('submit [file|url]')
    .description(
      'submit a video, or any job that a file describes; a file is uploaded first. Prints the job id',
    )
    .addOption(
      new Option(
        '--job <file>',
        'the job as the API takes it, as JSON; - reads it from standard input',
      ).conflicts(['model', 'style', 'container', 'codec', 'priority', 'onError']),
    )
    .option('--model <name>', 'model, or model@version', 'great-wave')
    .option('--style <file|url>', 'style image, for a model that takes one')
    .addOption(
      new Option('--container <name>', 'follows the source by default').choices(['mp4', 'mkv', 'webm']),
    )
    .addOption(
      new Option('--codec <name>', 'follows the container by default').choices([
        'h264',
        'hevc',
        'vp9',
        'av1',
      ]),
    )
    .option('--priority <n>', '10 goes first', whole(1, 10), 5)
    .option('--wait', 'follow the job to its end', false)
    .option('--out <file>', 'with --wait: fetch the result into this file')
    .addOption(onError())
    .addOption(dir())
    .addOption(json())
    .action(
      async (source, options) =>
        await end((await import('../commands/submit.ts')).submit(source, options, env, signal)),
    )
  examples(submit, {
    'submit film.mp4 --wait': 'uploads it, submits it, follows it',
    'submit film.mp4 --wait --out scored.mp4': 'and fetches what came of it',
    'submit film.mp4': 'once more after a broken line: only what is missing is sent',
    'submit https://acct.blob.core.windows.net/media/in/film.mp4 --model starry-night': '',
    'submit --job table.json --wait --out scores.csv': 'a table, images, several models: docs/tables.md',
    'submit readings.csv --job table.json': 'with this file as its table',
    'submit film.mp4 --json | jq -r .id': 'for programs',
  })

  const watch = program
    .command('watch <id>')
    .description('follow a job to its end')
    .addOption(dir())
    .addOption(json())
    .action(
      async (id, options) => await end((await import('../commands/jobs.ts')).watch(id, options, env, signal)),
    )
  examples(watch, {
    'watch ID': 'a bar on a terminal, a line for each change in a pipe; exits with 1 when the job failed',
  })

  const download = program
    .command('download <id>')
    .description('fetch the finished video of a job')
    .option('--out <file>', "where to; by default the source's name with .scored in it, here")
    .addOption(dir())
    .addOption(json())
    .action(
      async (id, options) =>
        await end((await import('../commands/jobs.ts')).download(id, options, env, signal)),
    )
  examples(download, { 'download ID': '', 'download ID --out film.mp4': 'over a file of that name, too' })

  const jobs = program
    .command('jobs')
    .description('list the jobs, newest first')
    .addOption(
      new Option('--state <state>', 'only those in this state, of the newest 10,000').choices(states),
    )
    .option('--limit <n>', 'most jobs to list', whole(1, 1_000), 20)
    .option('--offset <n>', 'jobs to leave out', whole(0, 1_000_000), 0)
    .addOption(dir())
    .addOption(json())
    .action(async (options) => await end((await import('../commands/jobs.ts')).listJobs(options, env)))
  examples(jobs, {
    jobs: 'the latest twenty',
    'jobs --state failed --limit 5': 'why the latest failed',
    'jobs --json | jq -r .jobs[].id': '',
  })

  const logs = program
    .command('logs <id>')
    .description('what all roles said of a job, in order')
    .addOption(dir())
    .option('--json', 'one JSON object a line, as it was written', false)
    .action(
      async (id, options) => await end((await import('../commands/logs.ts')).logs(id, options, env, signal)),
    )
  examples(logs, { 'logs ID': '', 'logs ID --json | jq -c "select(.level == \\"error\\")"': '' })

  const cancel = program
    .command('cancel <id>')
    .description('stop a job and delete what it made so far')
    .addOption(dir())
    .addOption(json())
    .action(async (id, options) => await end((await import('../commands/jobs.ts')).cancel(id, options, env)))
  examples(cancel, { 'cancel ID': '' })

  const resume = program
    .command('resume [id]')
    .description('put a job back on the queues from what lies in storage; what is done is not done again')
    .option('--all', 'every job that has not ended', false)
    .option('--again', 'run a job anew that failed or was cancelled', false)
    .addOption(dir())
    .addOption(json())
    .action(
      async (id, options) => await end((await import('../commands/resume.ts')).resume(id, options, env)),
    )
  examples(resume, {
    'resume --all': 'every open job, after Redis was lost; safe at any time',
    'resume ID --again': 'a job that failed or was cancelled, anew by the same plan',
  })

  const restitch = program
    .command('restitch <id>')
    .description('make the video of a job anew of the frames it kept, as they are now')
    .addOption(dir())
    .addOption(json())
    .action(
      async (id, options) => await end((await import('../commands/resume.ts')).restitch(id, options, env)),
    )
  examples(restitch, { 'restitch ID': 'after frames under jobs/ID/frames/ were edited' })
}

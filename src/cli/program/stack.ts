import type { Command } from 'commander'
import { type Context, dir, examples, json, onError, whole, workers } from './options.ts'

/** What runs here: a system of one's own, one video through it, and whether this machine is fit for it. */
export function addStackCommands(program: Command, { env, signal, end }: Context): void {
  const up = program
    .command('up')
    .description('run the whole system on this machine: Redis, storage, producer, workers, stitcher')
    .addOption(workers())
    .option('--autoscale', 'start workers when there is work, and stop them when there is none', false)
    .option('--min <n>', 'with --autoscale: never fewer workers', whole(0, 64), 0)
    .option('--max <n>', 'with --autoscale: never more workers', whole(1, 64), 4)
    .option('--port <n>', 'port of the API', whole(1, 65_535), 8080)
    .addOption(dir())
    .action(async (options) => await end((await import('../commands/up.ts')).up(options, env, signal)))
  examples(up, {
    up: 'until Ctrl-C; the data stays under .framefleet/',
    'up --workers 4': 'four worker processes',
    'up --autoscale --max 4': 'workers come with the work, and go when it is done',
  })

  const demo = program
    .command('demo [video]')
    .description(
      'score one video (or a clip rendered for the occasion) with a stack of its own, and take it down again',
    )
    .option('--model <name|path.onnx>', 'model', 'great-wave')
    .option('--manifest <file>', "the model's model.json, for a model given as a path")
    .option('--style <file>', 'style image, for a model that takes one')
    .option('--out <file>', 'where to write the video; its extension picks the container')
    .addOption(workers())
    .addOption(onError())
    .addOption(json())
    .action(
      async (video, options) =>
        await end((await import('../commands/demo.ts')).demo(video, options, env, signal)),
    )
  examples(demo, {
    demo: 'renders a clip, scores it, writes out/sample-great-wave.mp4',
    'demo film.mp4 --out film.webm': 'a film of your own',
    'demo film.mp4 --model my.onnx': 'a model of your own, described by my.json beside it',
  })

  const token = program
    .command('token')
    .description('print the token that the API is called with')
    .addOption(dir())
    .addOption(json())
    .action(async (options) => await end((await import('../commands/token.ts')).token(options, env)))
  examples(token, {
    token: 'that of `framefleet up`, FRAMEFLEET_API_TOKEN, or a fresh one of Entra ID',
  })

  const doctor = program
    .command('doctor')
    .description('say what is missing here, and the command that mends it')
    .addOption(json())
    .action(async (options) => await end((await import('../commands/doctor.ts')).doctor(options)))
  examples(doctor, { doctor: 'exits with 1 when something is missing' })
}

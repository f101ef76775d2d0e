import { type Command, Option } from 'commander'
import { type Context, dir, examples, json, whole } from './options.ts'

/** As `mostInstances` of shared/fleet, which would load all of zod for a number. */
const most = 10_000

export function addFleetCommands(program: Command, { env, end }: Context): void {
  const load = async () => await import('../commands/fleet.ts')
  const fleet = program.command('fleet').description('who is there to work, and how many may be')
  examples(fleet, {
    fleet: 'the settings, what the autoscaler decided and why, every worker',
    'fleet set --max 20 --min 1': '',
  })
  const show = fleet
    .command('show', { isDefault: true })
    .description('what is set, what the autoscaler decided, and every worker')
    .addOption(dir())
    .addOption(json())
    .action(async (options) => await end((await load()).showFleet(options, env)))
  examples(show, { 'fleet show --json | jq .autoscaler.why': '' })
  const set = fleet
    .command('set')
    .description('set what is given; the rest stays as it is')
    .option('--min <n>', 'never fewer instances', whole(0, most))
    .option('--max <n>', 'never more instances', whole(0, most))
    .option('--size <n|auto>', 'exactly so many; auto leaves it to the autoscaler', (text) =>
      text === 'auto' ? text : whole(0, most)(text),
    )
    .addOption(new Option('--pause', 'the autoscaler starts and removes nothing').conflicts('resume'))
    .option('--resume', 'the autoscaler goes on')
    .addOption(dir())
    .addOption(json())
    .action(async (options) => await end((await load()).setFleet(options, env)))
  examples(set, {
    'fleet set --max 20 --min 1': 'the autoscaler stays between these',
    'fleet set --size 8': 'eight, whatever there is to do',
    'fleet set --size auto': 'as many as the work needs again',
    'fleet set --pause': 'nothing is started or removed',
  })
}

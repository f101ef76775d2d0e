import type { Command } from 'commander'
import { type Context, dir, examples, json } from './options.ts'

export function addTriggerCommands(program: Command, { env, end }: Context): void {
  const load = async () => await import('../commands/triggers.ts')
  const triggers = program
    .command('triggers')
    .description('which videos that land in storage start which jobs')
  examples(triggers, {
    triggers: 'the rules, the first that takes a video first',
    'triggers set rules.json': '',
    'triggers test in/film.mp4': '',
  })
  const show = triggers
    .command('show', { isDefault: true })
    .description('the rules in force')
    .addOption(dir())
    .addOption(json())
    .action(async (options) => await end((await load()).showTriggers(options, env)))
  examples(show, { 'triggers show --json > rules.json': 'to change them and set them again' })
  const set = triggers
    .command('set <file>')
    .description('set all rules at once, as they stand in a file of JSON; - reads standard input')
    .addOption(dir())
    .addOption(json())
    .action(async (file, options) => await end((await load()).setTriggers(file, options, env)))
  examples(set, { 'triggers set rules.json': 'refused as a whole where a job by one of them would be' })
  const test = triggers
    .command('test <name>')
    .description('which rule would take a blob of that name, and what job it would start')
    .addOption(dir())
    .addOption(json())
    .action(async (name, options) => await end((await load()).testTriggers(name, options, env)))
  examples(test, { 'triggers test in/sea/storm.mp4': 'exits with 1 where it would start none' })
}

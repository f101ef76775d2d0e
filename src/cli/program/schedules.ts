import type { Command } from 'commander'
import { type Context, dir, examples, json } from './options.ts'

export function addScheduleCommands(program: Command, { env, end }: Context): void {
  const load = async () => await import('../commands/schedules.ts')
  const schedules = program.command('schedules').description('jobs that are started by the clock')
  examples(schedules, {
    schedules: 'all of them, with the next run and what became of the last',
    'schedules set hourly hourly.json': '',
    'schedules show hourly': 'with its last hundred runs',
    'schedules run-now hourly': '',
  })
  const list = schedules
    .command('list', { isDefault: true })
    .description('list them')
    .addOption(dir())
    .addOption(json())
    .action(async (options) => await end((await load()).listSchedules(options, env)))
  examples(list, { 'schedules list --json': '' })
  const show = schedules
    .command('show <id>')
    .description('one of them, and its runs, newest first')
    .addOption(dir())
    .addOption(json())
    .action(async (id, options) => await end((await load()).showSchedule(id, options, env)))
  examples(show, { 'schedules show hourly': '' })
  const set = schedules
    .command('set <id> <file>')
    .description('set a schedule as it stands in a file of JSON; - reads standard input')
    .addOption(dir())
    .addOption(json())
    .action(async (id, file, options) => await end((await load()).setSchedule(id, file, options, env)))
  examples(set, { 'schedules set hourly hourly.json': '{ "cron": "5 * * * *", "job": { … } }' })
  const remove = schedules
    .command('remove <id>')
    .description('remove a schedule; jobs that it has started go on')
    .addOption(dir())
    .addOption(json())
    .action(async (id, options) => await end((await load()).removeSchedule(id, options, env)))
  examples(remove, { 'schedules remove hourly': '' })
  const run = schedules
    .command('run-now <id>')
    .description('make a run now, of the last time that was due')
    .option('--at <time>', 'of this time, which has come, in its place: 2026-03-01T09:05:00Z')
    .addOption(dir())
    .addOption(json())
    .action(async (id, options) => await end((await load()).runScheduleNow(id, options, env)))
  examples(run, { 'schedules run-now hourly --at 2026-03-01T09:05:00Z': 'exits with 1 where no job started' })
}

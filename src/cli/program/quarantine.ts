import type { Command } from 'commander'
import { type Context, dir, examples, json, whole } from './options.ts'

export function addQuarantineCommands(program: Command, { env, end }: Context): void {
  const load = async () => await import('../commands/quarantine.ts')
  const quarantine = program
    .command('quarantine')
    .description('what was taken out of the way: work that fails each time, and what can not be read')
  examples(quarantine, {
    quarantine: 'newest first',
    'quarantine show ID': 'class, attempt, worker and last words of each failure, and the payload',
    'quarantine retry ID': 'runs its job again, if that has failed',
    'quarantine drop ID': '',
  })
  const list = quarantine
    .command('list', { isDefault: true })
    .description('list the records, newest first')
    .option('--offset <n>', 'records to leave out', whole(0, 10_000), 0)
    .option('--limit <n>', 'most records to list', whole(1, 100), 20)
    .addOption(dir())
    .addOption(json())
    .action(async (options) => await end((await load()).listQuarantine(options, env)))
  examples(list, { 'quarantine list --limit 100 --offset 100': 'the second hundred' })
  const show = quarantine
    .command('show <id>')
    .description('one record, with its evidence')
    .addOption(dir())
    .addOption(json())
    .action(async (id, options) => await end((await load()).showQuarantined(id, options, env)))
  examples(show, { 'quarantine show batch.1f7c…': '' })
  const retry = quarantine
    .command('retry <id>')
    .description("run the record's job again, if it has failed")
    .addOption(dir())
    .addOption(json())
    .action(async (id, options) => await end((await load()).retryQuarantined(id, options, env)))
  examples(retry, { 'quarantine retry batch.1f7c…': '' })
  const drop = quarantine
    .command('drop <id>')
    .description('drop a record')
    .addOption(dir())
    .addOption(json())
    .action(async (id, options) => await end((await load()).dropQuarantined(id, options, env)))
  examples(drop, { 'quarantine drop batch.1f7c…': '' })
}

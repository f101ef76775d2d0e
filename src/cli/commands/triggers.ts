import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { TriggerRule, TriggerRules, TriggerRulesView } from '../../client/client.ts'
import { InputError } from '../../shared/errors.ts'
import { connect } from '../endpoint.ts'
import { type Common, print, printLines } from '../output.ts'

export async function showTriggers(options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  const { api } = await connect(env, options.dir)
  const view = await api.triggers()
  // As `triggers set` takes them.
  if (options.json) print(settable(view))
  else printLines(describeRules(view))
  return 0
}

export async function setTriggers(file: string, options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  const rules = await readRules(file)
  const { api } = await connect(env, options.dir)
  const view = await api.setTriggers(rules)
  if (options.json) print(settable(view))
  else printLines(describeRules(view))
  return 0
}

export async function testTriggers(name: string, options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  const { api } = await connect(env, options.dir)
  const tried = await api.testTriggers(name)
  if (options.json) print(tried)
  else if (tried.request)
    printLines(`${tried.rule} starts ${JSON.stringify(tried.request, undefined, 2)}`.split('\n'))
  else print(`starts nothing: ${tried.why}`)
  return tried.request ? 0 : 1
}

const settable = ({ rules, triggerFiles }: TriggerRulesView): TriggerRules => ({ rules, triggerFiles })

export function describeRules({ rules, triggerFiles, byDefault }: TriggerRulesView): string[] {
  const files = triggerFiles ? ['in/*.trigger.json  starts what it says'] : []
  if (rules.length === 0) return ['no rules: no video that lands starts a job', ...files]
  const lines = [...rules.map(describeRule), ...files]
  return byDefault ? ['nobody has set rules; by default', ...lines] : lines
}

function describeRule({ name, prefix, suffixes, job }: TriggerRule): string {
  const takes =
    suffixes.length === 0 ? `${prefix}*` : suffixes.map((suffix) => `${prefix}*${suffix}`).join(' ')
  if (!job) return `${name}  ${takes}  starts nothing`
  return `${name}  ${takes}  ${job.model}${job.output.name ? ` into ${job.output.name}` : ''}`
}

/** The API says what is wrong with them; here only what is no JSON at all. */
async function readRules(file: string): Promise<TriggerRules> {
  const source = file === '-' ? 'standard input' : file
  const read = await (file === '-' ? text(process.stdin) : readFile(file, 'utf8')).catch(() => {
    throw new InputError('no-file', `There is no file ${file}.`)
  })
  try {
    return JSON.parse(read) as TriggerRules
  } catch {
    throw new InputError('no-json', `${source} holds no JSON.`)
  }
}

import { Argument, type Command, type Option } from 'commander'
import { examples } from './options.ts'

type Known = { path: string[]; words: Word[]; options: Option[] }
type Word = { name: string; what: string }

const shells = { bash, zsh, fish }

/** `framefleet completion SHELL`: all there is to complete, written into a script, so that a Tab starts no process. */
export function addCompletion(program: Command): void {
  const command = program
    .command('completion')
    .description('print what makes a shell complete commands, options and their values')
    .addArgument(new Argument('<shell>', 'which').choices(Object.keys(shells)))
    .action((shell: keyof typeof shells) => void process.stdout.write(shells[shell](knownOf(program))))
  examples(command, {
    'completion bash': 'source <(framefleet completion bash), in ~/.bashrc',
    'completion zsh': 'source <(framefleet completion zsh), in ~/.zshrc after compinit',
    'completion fish': 'framefleet completion fish | source, in ~/.config/fish/config.fish',
  })
}

/** Every command, with what may follow it. */
function knownOf(command: Command, path: string[] = []): Known[] {
  const help = command.createHelp()
  const below = help.visibleCommands(command).filter((each) => each.name() !== 'help')
  const values = command.registeredArguments.flatMap(({ argChoices = [] }) => argChoices)
  const words = [
    ...below.map((each) => ({ name: each.name(), what: each.description() })),
    ...values.map((name) => ({ name, what: '' })),
  ]
  const here = { path, words, options: help.visibleOptions(command) }
  return [here, ...below.flatMap((each) => knownOf(each, [...path, each.name()]))]
}

const flagsOf = (options: Option[]) => options.flatMap(({ long }) => long ?? [])
const takesFile = ({ flags }: Option) => /<(?:file|image|folder|name\|path)/.test(flags)
const takesValue = ({ required, optional }: Option) => required || optional

/** Where nothing is offered, or a file is wanted, the shell offers files as ever. */
function bash(known: Known[]): string {
  const paths = known.slice(1).map(({ path }) => `' ${path.join(' ')}'`)
  const at = (path: string[]) => `'${path.map((name) => ` ${name}`).join('')}'`
  const values = known.flatMap(({ path, options }) =>
    options.flatMap(({ long, argChoices }) =>
      long && argChoices ? [`    ${at([...path, long])}) offer='${argChoices.join(' ')}' ;;`] : [],
    ),
  )
  const free = known.flatMap(({ path, options }) =>
    options
      .filter((option) => takesValue(option) && !option.argChoices)
      .flatMap(({ long }) => (long ? [at([...path, long])] : [])),
  )
  const words = known.map(
    ({ path, words, options }) =>
      `    ${at(path)}) offer='${words.map(({ name }) => name).join(' ')}' flags='${flagsOf(options).join(' ')}' ;;`,
  )
  return `# Completion of framefleet for bash: source <(framefleet completion bash)
_framefleet() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} path='' offer='' flags='' i
  # --option=value comes as three words.
  if [[ $cur == = ]]; then cur=''; elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in
    ${paths.join(' | ')}) path="$path \${COMP_WORDS[i]}" ;;
    esac
  done
  COMPREPLY=()
  case "$path $prev" in
${values.join('\n')}
    ${free.join(' | ')}) return ;;
    *)
      case "$path" in
${words.join('\n').replaceAll(/^/gm, '  ')}
      esac
      [[ $cur == -* ]] && offer=$flags
      ;;
  esac
  COMPREPLY=($(compgen -W "$offer" -- "$cur"))
}
complete -o default -F _framefleet framefleet
`
}

/** zsh runs what is written for bash. */
function zsh(known: Known[]): string {
  return `autoload -U +X bashcompinit && bashcompinit\n${bash(known)}`
}

function fish(known: Known[]): string {
  const lines = known.flatMap(({ path, words, options }) => {
    const below = words.map(({ name }) => name).join(' ')
    const seen = path.map((name) => `__fish_seen_subcommand_from ${name}`)
    const here = [...seen, ...(below ? [`not __fish_seen_subcommand_from ${below}`] : [])]
    const when = (conditions: string[]) =>
      conditions.length > 0 ? ` -n ${quoted(conditions.join('; and '))}` : ''
    return [
      ...words.map(
        ({ name, what }) => `complete -c framefleet -f${when(here)} -a ${name} -d ${quoted(what)}`,
      ),
      ...options.flatMap((option) => {
        const { long, argChoices, description } = option
        if (!long) return []
        const value = argChoices
          ? ` -x -a ${quoted(argChoices.join(' '))}`
          : takesFile(option)
            ? ' -r'
            : takesValue(option)
              ? ' -x'
              : ''
        return [`complete -c framefleet${when(here)} -l ${long.slice(2)}${value} -d ${quoted(description)}`]
      }),
    ]
  })
  return `# Completion of framefleet for fish: framefleet completion fish | source\n${lines.join('\n')}\n`
}

const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)}'`

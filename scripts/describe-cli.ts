import type { Command } from 'commander'
import { createProgram } from '../src/cli/program/program.ts'

const head = `# The command line

Written by \`npm run docs:cli\` from what the commands declare; \`framefleet COMMAND --help\` says the same.

In a checkout it is \`npx framefleet\`. It talks to the system that \`framefleet up\` runs in this folder, or to the one that the
environment names:

| variable                   |                                                                                                             |
| -------------------------- | ----------------------------------------------------------------------------------------------------------- |
| \`FRAMEFLEET_API_URL\`       | the API, such as \`https://framefleet.example.com\`                                                           |
| \`FRAMEFLEET_API_TOKEN\`     | a token that it takes                                                                                       |
| \`FRAMEFLEET_API_AUDIENCE\`  | in place of a token: what tokens of Entra ID are for. Whoever is signed in by \`az login\`, or the machine's identity, is asked for |
| \`FRAMEFLEET_MEDIA_ACCOUNT\` | only to go to storage by a way of one's own: files are sent by links that the API gives                     |

With \`--json\` standard output holds one JSON value and nothing else (\`logs\`: one a line), also when it fails:
\`{"error": {"code", "message"}}\`. Without it, what programs may read is on standard output, what is only to be seen (bars, progress) on
standard error. On a terminal there are bars, in a pipe plain lines.

| exit code |                                                                         |
| --------- | ----------------------------------------------------------------------- |
| 0         | done                                                                    |
| 1         | the job or a check failed, or the system refused what was asked for     |
| 2         | used wrongly: an unknown command or option, a value that can't be       |
| 3         | the system can't be reached, refuses the token, or there is none to call |
| 130       | interrupted; a job that is followed goes on                            |

**Files** that are submitted go straight to storage, in blocks, four at a time. When the line breaks, the same command again sends only
what is missing: how far it came is kept for a week under \`$XDG_STATE_HOME/framefleet\` (\`~/.local/state\`). A file that has changed is sent anew,
one that is there already is not sent at all.

**Completion** of commands, options and their values, for a \`framefleet\` that is on the PATH:

\`\`\`sh
source <(framefleet completion bash)      # in ~/.bashrc
source <(framefleet completion zsh)       # in ~/.zshrc, after compinit
framefleet completion fish | source       # in ~/.config/fish/config.fish
\`\`\`
`

/** The whole command line as a page of Markdown. */
export function describeCli(): string {
  const program = createProgram({
    env: {},
    signal: new AbortController().signal,
    end: async () => await Promise.resolve(),
  })
  const sections = program.commands.filter(isShown).flatMap((command) => sectionsOf(command, []))
  return [head, ...sections].join('\n')
}

const isShown = (command: Command) => command.name() !== 'help'

function sectionsOf(command: Command, path: string[]): string[] {
  const names = [...path, command.name()]
  // A command that holds others says no more than they do.
  const own =
    command.commands.length > 0 ? [] : [`## ${names.join(' ')}\n\n\`\`\`text\n${helpOf(command)}\n\`\`\`\n`]
  return [...own, ...command.commands.filter(isShown).flatMap((each) => sectionsOf(each, names))]
}

/** As a terminal of a hundred columns shows it, with its examples. */
function helpOf(command: Command): string {
  let text = ''
  command.configureOutput({ writeOut: (more) => (text += more), getOutHelpWidth: () => 100 })
  command.outputHelp()
  return text.trim()
}

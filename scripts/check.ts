// Format, lint, types, dead code: every check runs, also after one has failed, so that one look shows them all.
import { spawnSync } from 'node:child_process'

const checks = [
  ['format', 'oxfmt', '--check', '.'],
  ['lint', 'oxlint', '--type-aware', '--deny-warnings'],
  ['types', 'tsc', '-p', 'tsconfig.json'],
  // What runs in browsers: other globals.
  ['types of the page', 'tsc', '-p', 'src/producer/page/static/tsconfig.json'],
  ['dead code', 'knip'],
]
const failed = checks.filter(([name, program = '', ...args]) => {
  console.log(`check: ${name}`)
  return spawnSync(`node_modules/.bin/${program}`, args, { stdio: 'inherit' }).status !== 0
})
console.log(
  failed.length === 0 ? 'check: all is well' : `check: failed: ${failed.map(([name]) => name).join(', ')}`,
)
process.exitCode = failed.length === 0 ? 0 : 1

// Writes docs/cli.md from what the command line declares.   npm run docs:cli
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { describeCli } from './describe-cli.ts'

const file = 'docs/cli.md'
writeFileSync(file, describeCli())
spawnSync('node_modules/.bin/oxfmt', [file], { stdio: 'inherit' })
console.log(`written: ${file}`)

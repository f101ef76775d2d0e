// Writes src/client/api-types.ts from the API's own description.   npm run client:types
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { readApiDocument } from './api-document.ts'
import { typesOf } from './api-types.ts'

const file = 'src/client/api-types.ts'
writeFileSync(file, typesOf((await readApiDocument()) as Parameters<typeof typesOf>[0]))
spawnSync('node_modules/.bin/oxfmt', [file], { stdio: 'inherit' })
console.log(`written: ${file}`)

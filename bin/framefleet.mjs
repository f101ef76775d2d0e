#!/usr/bin/env node
// In a checkout the sources run as they are; what is installed has only what was built: Node reads no types in node_modules.
import { existsSync } from 'node:fs'

const source = new URL('../src/cli/main.ts', import.meta.url)
await import(existsSync(source) ? source.href : new URL('../dist/cli/main.js', import.meta.url).href)

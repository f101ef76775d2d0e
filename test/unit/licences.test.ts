import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { root } from '../support/dockerfile.ts'

/** As SPDX has them. Each may be used, changed and passed on in a product; a library under the LGPL as a file of its own. */
const allowed = [
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'LGPL-3.0-or-later',
  'MIT',
]

/** Those that name theirs in another way; somebody has looked at the very version. */
const lookedAt: Record<string, string> = {
  // In its package.json as things were written in 2014.
  'async@0.2.10': 'MIT',
  // Public domain or MIT, says the address that it gives.
  'uri-templates@0.2.0': 'MIT',
}

type Licence = { expression?: string; license?: { id?: string; name?: string } }
type Bill = { bomFormat: string; components: { name: string; version: string; licenses?: Licence[] }[] }

const text = execFileSync('npm', ['run', '--silent', 'sbom'], {
  cwd: root,
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'ignore'],
  maxBuffer: 64 << 20,
})
const { bomFormat, components } = JSON.parse(text) as Bill

test('the bill of materials names what is shipped, and not what only makes or tests it', () => {
  expect(bomFormat).toBe('CycloneDX')
  const names = components.map(({ name }) => name)
  expect(names).toEqual(expect.arrayContaining(['bullmq', 'onnxruntime-node', 'sharp']))
  expect(names.filter((name) => ['vitest', 'oxlint', 'knip'].includes(name))).toEqual([])
})

test('every package that is shipped has a licence that it may be shipped under', () => {
  const refused = components
    .map(({ name, version, licenses = [] }) => {
      const said = licenses.map(({ expression, license }) => expression ?? license?.id ?? license?.name ?? '')
      return { name, version, licence: said.join(' AND ') || (lookedAt[`${name}@${version}`] ?? 'none') }
    })
    .filter(({ licence }) => !mayBeUsed(licence))
  expect(refused).toEqual([])
})

test.each([
  ['MIT', true],
  ['(MIT OR GPL-3.0-only)', true],
  ['Apache-2.0 AND LGPL-3.0-or-later AND MIT', true],
  ['MIT AND GPL-3.0-only', false],
  ['GPL-3.0-only AND (MIT OR ISC)', false],
  ['none', false],
  ['', false],
])('"%s" may be used: %s', (expression, may) => {
  expect(mayBeUsed(expression)).toBe(may)
})

/** Of alternatives one is enough; of what holds together, all must be. An expression with both is for somebody to read. */
function mayBeUsed(expression: string): boolean {
  const plain = expression.replaceAll(/[()]/g, '')
  if (plain.includes(' AND ')) return plain.split(' AND ').every((id) => allowed.includes(id))
  return plain.split(' OR ').some((id) => allowed.includes(id))
}

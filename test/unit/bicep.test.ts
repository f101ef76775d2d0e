import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { complaintsAbout } from '../support/bicep/complaints.ts'
import { expand } from '../support/bicep/expand.ts'
import { deployDir } from '../support/deployment.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const files = globSync('**/*.bicep', { cwd: deployDir })
let count = 0

function write(source: string, name = `${++count}.bicep`): string {
  writeFileSync(join(dir, name), source)
  return join(dir, name)
}
const read = (source: string, params = {}) => expand(write(source), params, ({ name }) => ({ secret: name }))
const outputOf = (expression: string, before = '') =>
  read(`${before}\noutput it string = ${expression}\n`).outputs.it

test.each(files)('%s is used, described and laid out as it should be', (file) => {
  expect(complaintsAbout(join(deployDir, file))).toEqual([])
})

test('every module is used', () => {
  const sources = files.map((file) => readFileSync(join(deployDir, file), 'utf8')).join('\n')
  const unused = files
    .filter((file) => file.startsWith('modules/'))
    .filter((file) => !new RegExp(`^module \\w+ '(modules/)?${file.slice(8)}' =`, 'm').test(sources))
  expect(unused).toEqual([])
})

test.each([
  ["'a${1 + 2 * 3}b'", 'a7b'],
  ["true && 1 < 2 ? 'yes' : 'no'", 'yes'],
  ["join(map([1, 2], (each, i) => '${each}@${i}'), ',')", '1@0,2@1'],
  ['union({ a: { b: 1 } }, { a: { c: 2 } }).a', { b: 1, c: 2 }],
  ['items({ b: 1, a: 2 })[0]', { key: 'a', value: 2 }],
  ["cidrSubnet('10.60.0.0/16', 20, 1)", '10.60.16.0/20'],
  ["'it\\'s \\${0}'", "it's ${0}"],
  ['10 / 4', 2],
])('%s is worked out', (expression, value) => {
  expect(outputOf(expression)).toEqual(value)
})

const group = "resource g 'Microsoft.Resources/resourceGroups@2024-03-01' = {\n  name: 'g'\n}\n"

test.each([
  ['an unknown name', 'output a string = nobody', /nobody is not known/],
  ['an unknown function', "output a string = listKeys('x').keys", /listKeys\(\) is not known/],
  ['a circle', 'var a = b\nvar b = a', /depends on itself/],
  ['a parameter that nobody gives', 'param a string', /a is not given/],
  ['another type', "param a int = 'x'", /a is to be int/],
  ['a value that is not allowed', "@allowed(['x'])\nparam a string = 'y'", /a may not be "y"/],
  ['a value that is too large', '@maxValue(3)\nparam a int = 4', /a is more than 3/],
  ['a resource without a name', "resource a 'T/t@2024-01-01' = {\n}", /no name/],
  ['a child that is not there', `${group}output a string = g::b.id`, /there is no b/],
  [
    'a name known only later',
    `${group}resource a 'T/t@2024-01-01' = {\n  name: g.secret\n}`,
    /its name is known only after/,
  ],
  [
    'a condition known only later',
    `${group}resource a 'T/t@2024-01-01' = if (g.secret == 'x') {\n  name: 'a'\n}`,
    /the condition is known only after/,
  ],
  ['a brace that does not close', 'var a = {\n', /a key is wanted, and there is the end/],
  ['a text that does not end', "var a = 'x\n", /does not end/],
])('%s is refused', (_, source, sentence) => {
  expect(() => read(`${source}\n`)).toThrow(sentence)
})

test('modules get what they ask for, and what they say is passed on', () => {
  write("param a string\noutput b string = 'got ${a}'\n", 'inner.bicep')
  const module = (given: string) => `module m 'inner.bicep' = {\n  name: 'm'\n  params: { ${given} }\n}\n`
  expect(read(`${module("a: 'x'")}output c string = m.outputs.b\n`).outputs).toEqual({ c: 'got x' })
  expect(() => read(module("a: 'x', b: 'y'"))).toThrow(/no parameter b/)
  expect(() => read(module(''))).toThrow(/a is not given/)
  expect(() => read(`${module("a: 'x'")}output c string = m.outputs.d\n`)).toThrow(/there is no d/)
  const absent = module("a: 'x'").replace('= {', '= if (false) {')
  expect(() => read(`${absent}output c string = m.outputs.b\n`)).toThrow(/m is not deployed/)
})

test.each([
  ['param a string', /a is not described in a sentence/],
  ["@description('What it is for.')\nparam a string", /a is not used/],
  ["@description('What it is for.')\nparam dbPassword string\nvar b = dbPassword", /looks like a secret/],
  ["resource a 'T/t@latest' = {\n  name: 'a'\n}", /no dated version/],
  ["var a = [\n    'x'\n]\n@description('All of it.')\noutput b array = a", /is indented by 4, not by 2/],
  ["@description('All of it.')\noutput b string = string([for i in [1]: i])", /a loop may not stand here/],
  ["@description('All of it.')\noutput b string = 'x' ", /spaces at the end/],
])('%j is complained about', (source, complaint) => {
  expect(complaintsAbout(write(`${source}\n`)).join('\n')).toMatch(complaint)
})

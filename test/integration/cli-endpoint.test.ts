import { join } from 'node:path'
import { expect, test } from 'vitest'
import { saveEndpoint } from '../../src/cli/endpoint.ts'
import { runCli } from '../support/cli.ts'
import { startFakeIdentity } from '../support/fake-identity.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const elsewhere = 'https://framefleet.example.com'

test('what `up` left here is no key to a system that the environment names', async () => {
  await saveEndpoint(dir, {
    ...{ apiUrl: 'http://127.0.0.1:8080', token: 'the-token-of-this-folder' },
    ...{ mediaContainer: 'media', systemContainer: 'system' },
  })
  expect(await runCli(['token', '--dir', dir])).toMatchObject({
    code: 0,
    stdout: 'the-token-of-this-folder\n',
  })
  const named = await runCli(['token', '--dir', dir, '--json'], { FRAMEFLEET_API_URL: elsewhere })
  expect({ ...named, stdout: JSON.parse(named.stdout) as unknown }).toMatchObject({
    code: 3,
    stdout: { error: { code: 'no-system', message: expect.stringMatching(/^there is no token for https:/) } },
  })
})

test('what is missing or wrong is named', async () => {
  const none = join(dir, 'none')
  const said = async (env: NodeJS.ProcessEnv) => (await runCli(['jobs', '--dir', none], env)).stderr
  expect(await said({})).toMatch(/^framefleet: no system found: /)
  expect(await said({ FRAMEFLEET_API_URL: elsewhere })).toMatch(`there is no token for ${elsewhere}`)
  const nonsense = { FRAMEFLEET_API_URL: 'localhost:8080', FRAMEFLEET_API_TOKEN: 'x' }
  expect(await said(nonsense)).toMatch('FRAMEFLEET_API_URL is no URL: localhost:8080')
})

test('with an audience in place of a token whoever is signed in here calls', async () => {
  const audience = 'api://framefleet'
  const identity = await startFakeIdentity({ lifeSeconds: 600, resource: audience })
  const env = { FRAMEFLEET_API_URL: elsewhere, FRAMEFLEET_API_AUDIENCE: audience, ...identity.env }
  const said = await runCli(['token', '--dir', join(dir, 'none')], env)
  await identity.close()
  expect(said).toMatchObject({ code: 0, stdout: `${identity.issued[0]?.token}\n` })
})

import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DefaultAzureCredential } from '@azure/identity'
import { afterEach, expect, test, vi } from 'vitest'
import { plainly } from '../../src/shared/identity.ts'
import { startFakeIdentity } from '../support/fake-identity.ts'
import { tempDir } from '../support/temp-dir.ts'
import { closedAfterEach } from '../support/use-services.ts'

const dir = tempDir()
const opened = closedAfterEach()
afterEach(() => void vi.unstubAllEnvs())

const scope = 'https://redis.azure.com/.default'
const ask = async (withinMs?: number) => await plainly(new DefaultAzureCredential(), withinMs).getToken(scope)

/** A machine of a developer, with such an `az`. */
async function loggedInBy(script: string): Promise<void> {
  const az = join(dir, 'az')
  await writeFile(az, `#!/bin/sh\n${script}\n`)
  await chmod(az, 0o755)
  vi.stubEnv('AZURE_TOKEN_CREDENTIALS', 'AzureCliCredential')
  vi.stubEnv('PATH', `${dir}:/usr/bin:/bin`)
}

test('in a container app it is the identity that AZURE_CLIENT_ID names; an endpoint that hangs is not waited for', async () => {
  // One for both: Azure's library looks for an endpoint once.
  const identity = await startFakeIdentity({ lifeSeconds: 600 })
  opened.push(identity)
  for (const [name, value] of Object.entries(identity.env)) vi.stubEnv(name, value)
  identity.be('hangs')
  await expect(ask(200)).rejects.toThrow(/^Azure gives this process no token: no answer within 0.2 s\. /)
  // Who asked no longer waits; the question itself may still be on its way.
  await expect.poll(identity.hanging).toBe(1)
  identity.be('answers')
  const answer = await ask()
  expect(identity.issued).toEqual([{ token: answer?.token, expires: answer?.expiresOnTimestamp }])
  expect(identity.refused).toEqual([])
})

test('whoever is not logged in is told to, in one line', async () => {
  await loggedInBy('echo "Please run \'az login\' to setup account." >&2; exit 1')
  const said = await ask().catch((error: Error) => error)
  expect(said).toMatchObject({ name: 'TransientError' })
  expect((said as Error).message).toMatch(/run `az login`\.$/)
  expect((said as Error).message).not.toContain('\n')
  expect((said as Error).cause).toBeUndefined()
})

test("who is logged in is known by Azure's own command", async () => {
  const expires = Math.floor(Date.now() / 1_000) + 3_600
  await loggedInBy(`echo '{"accessToken": "a-token", "expires_on": ${expires}, "tokenType": "Bearer"}'`)
  expect(await ask()).toMatchObject({ token: 'a-token', expiresOnTimestamp: expires * 1_000 })
})

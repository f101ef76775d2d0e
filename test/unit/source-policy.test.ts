import { expect, test } from 'vitest'
import { checkHost } from '../../src/producer/source-policy.ts'

const policy = {
  mediaUrl: 'https://acct.blob.core.windows.net',
  allowed: ['cdn.example.com', 'files.example.com:8443', '10.0.0.5:8443', 'http://10.0.0.6:8080'],
}
const emulator = { mediaUrl: 'http://127.0.0.1:10000/devstoreaccount1', allowed: [] }

test.each([
  ['the media account', 'https://acct.blob.core.windows.net/media/v.mp4', policy],
  ['the media account with a SAS', 'https://acct.blob.core.windows.net/media/v.mp4?sv=1&sig=a%2Fb', policy],
  ['the media account in capitals', 'https://ACCT.Blob.core.windows.net/media/v.mp4', policy],
  [
    'the media account with the port that is its own anyway',
    'https://acct.blob.core.windows.net:443/v',
    policy,
  ],
  ['a listed host', 'https://cdn.example.com/v.mp4', policy],
  ['a listed host in capitals', 'https://CDN.Example.com/v.mp4', policy],
  ['a listed host with its listed port', 'https://files.example.com:8443/v.mp4', policy],
  ['a listed address with its listed port', 'https://10.0.0.5:8443/v.mp4', policy],
  ['a host that is listed as one without TLS', 'http://10.0.0.6:8080/v.mp4', policy],
  ['the emulator', 'http://127.0.0.1:10000/devstoreaccount1/media/v.mp4', emulator],
])('is taken: %s', (_, url, given) => {
  expect(() => checkHost(url, given)).not.toThrow()
})

test.each([
  ['another host', 'https://evil.com/v.mp4', 'evil.com'],
  ['another account', 'https://other.blob.core.windows.net/v', 'other.blob.core.windows.net'],
  ['a name in front', 'https://x.acct.blob.core.windows.net/v', 'x.acct.blob.core.windows.net'],
  ['a name behind', 'https://acct.blob.core.windows.net.evil.com/v', 'acct.blob.core.windows.net.evil.com'],
  ['a name that ends alike', 'https://evilcdn.example.com/v', 'evilcdn.example.com'],
  ['a host below a listed one', 'https://a.cdn.example.com/v', 'a.cdn.example.com'],
  ['a host above a listed one', 'https://example.com/v', 'example.com'],
  ['a dot at the end', 'https://acct.blob.core.windows.net./v', 'acct.blob.core.windows.net.'],
  ['the host in the path', 'https://evil.com/acct.blob.core.windows.net/v', 'evil.com'],
  ['the host in the query', 'https://evil.com/?https://acct.blob.core.windows.net', 'evil.com'],
  ['the host behind a hash', 'https://evil.com#@acct.blob.core.windows.net/v', 'evil.com'],
  ['the host behind a backslash', 'https://evil.com\\@acct.blob.core.windows.net/v', 'evil.com'],
  ['a letter that looks alike', 'https://аcct.blob.core.windows.net/v', 'xn--cct-5cd.blob.core.windows.net'],
  ['a port that is not listed', 'https://cdn.example.com:8443/v', 'cdn.example.com:8443'],
  ['another port than listed', 'https://files.example.com:9443/v', 'files.example.com:9443'],
  ['no port where one is listed', 'https://files.example.com/v', 'files.example.com'],
  [
    'another port of the account',
    'https://acct.blob.core.windows.net:8443/v',
    'acct.blob.core.windows.net:8443',
  ],
  ['the account unencrypted', 'http://acct.blob.core.windows.net/v', 'acct.blob.core.windows.net'],
  ['the account by another scheme', 'ftp://acct.blob.core.windows.net/v', 'acct.blob.core.windows.net'],
  ['a listed host without TLS', 'http://cdn.example.com/v', 'cdn.example.com without TLS'],
  ['this machine', 'http://127.0.0.1/v', '127.0.0.1'],
  ['this machine by name', 'http://localhost:6379/v', 'localhost:6379'],
  ['this machine as a number', 'http://2130706433/v', '127.0.0.1'],
  ['this machine by version 6', 'http://[::1]/v', '[::1]'],
  ['the metadata of the cloud', 'http://169.254.169.254/metadata/identity/oauth2/token', '169.254.169.254'],
  ['a file', 'file:///etc/passwd', ''],
])('is refused: %s', (_, url, host) => {
  expect(() => checkHost(url, policy)).toThrow(
    expect.objectContaining({
      name: 'InputError',
      code: 'host-not-allowed',
      message: `The host ${host} is not allowed; an operator can add it to FRAMEFLEET_SOURCE_HOSTS.`,
    }),
  )
})

test('the emulator is that port of this machine and no other', () => {
  expect(() => checkHost('http://127.0.0.1:10001/devstoreaccount1/v', emulator)).toThrow(/is not allowed/)
  expect(() => checkHost('https://127.0.0.1:10000/devstoreaccount1/v', emulator)).toThrow(/is not allowed/)
})

test.each([
  ['in front of the media account', 'https://me@acct.blob.core.windows.net/v'],
  ['with a password', 'https://me:hunter2@acct.blob.core.windows.net/v'],
  ['in front of a listed host', 'https://me@cdn.example.com/v'],
  ['that is an allowed host itself', 'https://acct.blob.core.windows.net@evil.com/v'],
  ['and port that are an allowed host themselves', 'https://acct.blob.core.windows.net:443@evil.com/v'],
  ['a password alone', 'https://:hunter2@cdn.example.com/v.mp4'],
])('a user name is refused: %s', (_, url) => {
  const refused = expect.objectContaining({
    name: 'InputError',
    code: 'bad-url',
    message: expect.not.stringContaining('hunter2'),
  })
  expect(() => checkHost(url, policy)).toThrow(refused)
})

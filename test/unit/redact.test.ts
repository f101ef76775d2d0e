import { expect, test } from 'vitest'
import { publicUrl, redact } from '../../src/shared/redact.ts'
import { seeded, seeds } from '../../scripts/chaos/seeded.ts'

const video = 'https://acct.blob.core.windows.net/media/in/v.mp4'

type Shape = [string, (secret: string) => string, string[]]

/** Texts that carry a secret in an address, and what of them must stay readable. */
const addresses: Shape[] = [
  ['a URL', (sig) => `${video}?sig=${sig}`, [video]],
  ['the last of a query', (sig) => `${video}?sv=2024-11-04&sr=b&sig=${sig}`, [video]],
  [
    'the middle of a query',
    (sig) => `${video}?sv=2024-11-04&sig=${sig}&se=2030-01-01T00%3A00%3A00Z&sp=r`,
    [video],
  ],
  ['the middle of a sentence', (sig) => `can't read ${video}?sig=${sig} at all`, ["can't read ", ' at all']],
  [
    'a message of ffmpeg',
    (sig) =>
      `[in#0 @ 0x55d0] Error opening input: ${video}?se=2030&sig=${sig}: Server returned 403 Forbidden`,
    ['[in#0 @ 0x55d0] Error opening input: ', 'Server returned 403 Forbidden'],
  ],
  ['quotes', (sig) => `Error opening '${video}?sig=${sig}'.`, ["Error opening '", "'."]],
  ['double quotes', (sig) => `{"url":"${video}?sig=${sig}","status":403}`, ['","status":403}']],
  ['angle brackets', (sig) => `see <${video}?sig=${sig}> for more`, ['> for more']],
  [
    'an escaped JSON string',
    (sig) => `"{\\"url\\":\\"${video}?sig=${sig}\\",\\"n\\":1}"`,
    ['\\",\\"n\\":1}"'],
  ],
  ['several lines', (sig) => `one\n${video}?sig=${sig}\nthree`, ['one\n', '\nthree']],
  [
    'several URLs',
    (sig) => `from ${video}?sig=${sig} to ${video}?a=1&sig=${sig}.`,
    ['from ', ' to ', '?a=1&'],
  ],
  ['XML', (sig) => `<Url>${video}?sv=2024&amp;sig=${sig}</Url>`, ['<Url>', '</Url>']],
  ['escaped JSON', (sig) => `{"url":"${video}?sv=2024\\u0026sig=${sig}"}`, ['{"url":"']],
  [
    'a URL inside another',
    (sig) => `https://x.example/?next=https%3A%2F%2Fa%2Fv%3Fsig%3D${sig}`,
    ['https://x.example/?next='],
  ],
  ['a query without its URL', (sig) => `sig=${sig}&sv=2024`, []],
  ['a key in JSON', (key) => `{"AccountKey":"${key}","x":1}`, ['","x":1}']],
  ['capitals', (sig) => `${video}?SIG=${sig}`, [video]],
  ['a token in a query', (token) => `GET /v1/jobs?token=${token} 401`, ['GET /v1/jobs?', ' 401']],
  [
    'a connection string',
    (key) =>
      `DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=${key};EndpointSuffix=core.windows.net`,
    ['AccountName=acct;', ';EndpointSuffix=core.windows.net'],
  ],
  ['the end of a connection string', (key) => `AccountName=acct;AccountKey=${key}`, ['AccountName=acct;']],
  [
    'two connection strings',
    (key) => `AccountName=a;AccountKey=${key};x=1 AccountName=b;AccountKey=${key};y=2`,
    ['AccountName=a;', ';x=1 AccountName=b;', ';y=2'],
  ],
  [
    'a connection string with a SAS',
    (sas) => `BlobEndpoint=https://acct.blob.core.windows.net;SharedAccessSignature=sv=2024-11-04&sig=${sas}`,
    ['BlobEndpoint=https://acct.blob.core.windows.net;'],
  ],
]

/** The same with the secret in a header, where it is never made fit for a URL. */
const headers: Shape[] = [
  ['a header', (token) => `authorization: Bearer ${token}`, ['authorization: ']],
  ['a header in JSON', (token) => `{"authorization":"Bearer ${token}","x":1}`, ['","x":1}']],
  ['two headers', (token) => `one: Bearer ${token}\ntwo: Bearer ${token}`, ['one: Bearer', 'two: Bearer']],
  ['a header in lower case', (token) => `bearer ${token}`, []],
  ['basic authorization', (token) => `Authorization: Basic ${token}`, ['Authorization: ']],
  ['a signed request', (key) => `Authorization: SharedKey acct:${key}`, ['Authorization: ']],
]

const shapes = [...addresses, ...headers]

const encoded = 'Zm9vYmFyc2VjcmV0%2Bx%2Fy%3D'
test.each([
  ...addresses.map((shape) => [...shape, encoded] as const),
  ...shapes.map((shape) => [...shape, decodeURIComponent(encoded)] as const),
])('a secret never survives, and what is around it does: %s', (_, shape, stays, secret) => {
  const clean = redact(shape(secret))
  expect(clean).not.toContain(secret.slice(0, 4))
  expect(clean).not.toContain(secret.slice(-4))
  expect(clean).toContain('***')
  for (const part of stays) expect(clean).toContain(part)
})

test.each(seeds(40))('any key, as it is or made fit for a URL, never survives (seed %i)', (seed) => {
  const { int } = seeded(seed)
  const key = Buffer.from(Array.from({ length: int(16, 64) }, () => int(0, 255))).toString('base64')
  const texts = [
    ...addresses.map(([, shape]) => shape(encodeURIComponent(key))),
    ...shapes.map(([, shape]) => shape(key)),
  ]
  const survived = texts.filter((text) => {
    const clean = redact(text)
    const parts = [key, encodeURIComponent(key)].flatMap((secret) => [secret.slice(0, 8), secret.slice(-8)])
    return parts.some((part) => clean.includes(part))
  })
  expect(survived).toEqual([])
})

test.each([
  ['a password alone', 'redis://:hunter2@cache:6380/0', 'redis://***@cache:6380/0'],
  ['a user and a password', 'rediss://worker:hunter2@cache', 'rediss://***@cache'],
  ['a web address', 'https://me:hunter2@example.com/v.mp4', 'https://***@example.com/v.mp4'],
  ['colons in the password', 'redis://:hun:ter:2@cache', 'redis://***@cache'],
  [
    'several in a message',
    "can't reach redis://:hunter2@one:1, then redis://u:hunter2@two:2",
    "can't reach redis://***@one:1, then redis://***@two:2",
  ],
  ['a slash in the password', 'at redis://u:p/w@host:6380/0 now', 'at redis://***@host:6380/0 now'],
  ['digits, then a slash', 'redis://u:12/w@host', 'redis://***@host'],
  ['a slash, an @ and a mark in it', 'redis://:p@s/w?x#y@host', 'redis://***@host'],
  ['a slash in that of a web address', 'https://me:hun/ter2@example.com/v', 'https://***@example.com/v'],
  ['in quotes', 'connect "redis://:hunter2@cache" failed', 'connect "redis://***@cache" failed'],
])('a password never survives in a URL: %s', (_, text, clean) => {
  expect(redact(text)).toBe(clean)
})

test.each([
  ['alone', (token: string) => token, '***'],
  ['as a password', (token: string) => `AUTH default ${token} failed`, 'AUTH default *** failed'],
  [
    'in JSON',
    (token: string) => `{"access_token":"${token}","expires_in":1}`,
    '{"access_token":"***","expires_in":1}',
  ],
  [
    'in a URL',
    (token: string) => `https://x.example/#token=${token}&a=1`,
    'https://x.example/#token=***&a=1',
  ],
  ['behind an escape', (token: string) => `next=%2F%23token%3D${token}`, 'next=%2F%23token%3D***'],
])('a token of a directory never survives: %s', (_, shape, clean) => {
  const parts = [
    { typ: 'JWT', alg: 'RS256' },
    { aud: 'api://x', roles: ['Job.Read'] },
  ].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  expect(redact(shape([...parts, 'c2lnbmF0dXJl_-'].join('.')))).toBe(clean)
})

test.each(['eyJ-', 'eyJaaaaaaaa-', 'a.', 'redis://', 'https://a:b/', 'Bearer ', 'sig='])(
  'a long text takes no longer than its length says: %j',
  (part) => {
    const took = (bytes: number) => {
      const text = part.repeat(bytes / part.length)
      const began = performance.now()
      redact(text)
      return performance.now() - began
    }
    took(10_000)
    // By the square of its length this would be 1,600 times as long; a machine that is busy makes it some times as long.
    expect(took(400_000)).toBeLessThan(Math.max(50, took(10_000)) * 400)
  },
)

test('the whole of a SAS goes: neither its rights nor its dates are told', () => {
  expect(redact(`${video}?sv=2024-11-04&st=2026-01-01&se=2030-01-01&sr=b&sp=rw&spr=https&sig=abc%3D`)).toBe(
    `${video}?sv=***&st=***&se=***&sr=***&sp=***&spr=***&sig=***`,
  )
})

test.each([
  ['an empty text', ''],
  ['a sentence', 'The source is damaged: frame 12 at 0.480 s can’t be decoded.'],
  ['a plain URL', video],
  ['a URL with a port', 'http://127.0.0.1:10000/devstoreaccount1/media/v.mp4'],
  ['a harmless query', 'https://example.com/list?prefix=in/&limit=10&sort=desc'],
  ['names that end like secrets', 'https://example.com/?design=1&monkey=2&postcode=3'],
  ['an @ in a path', 'https://example.com:8443/icons/a@2x.png and http://[::1]:80/a@b'],
  ['a mail address', 'write to operator@example.com: thanks'],
  ['a time and a place', 'at 12:30 we meet @ the door'],
  ['a line of ffmpeg', '[libx264 @ 0x5581] frame I:1 Avg QP:20.00 size: 9123'],
  ['a path', '/tmp/framefleet/scratch/batch-12/segment.mp4: No such file or directory'],
  ['a line of a log', '{"level":"info","job":"d3b0","batch":12,"msg":"batch done"}'],
  ['words about tokens', 'Bearer authentication is a basic problem'],
  ['an account name', 'AccountName=acct;EndpointSuffix=core.windows.net'],
])('harmless text stays as it is: %s', (_, text) => {
  expect(redact(text)).toBe(text)
})

test.each(shapes)('what was cleaned once stays as it is: %s', (_, shape) => {
  const once = redact(shape('Zm9vYmFyc2VjcmV0'))
  expect(redact(once)).toBe(once)
})

test.each([
  ['a SAS', `${video}?sv=2024-11-04&sig=abc%3D`, video],
  ['a fragment', `${video}#t=10`, video],
  ['a user and a password', 'https://me:hunter2@example.com/v.mp4?x=1', 'https://example.com/v.mp4'],
  ['nothing to hide', 'http://127.0.0.1:10000/acct/v.mp4', 'http://127.0.0.1:10000/acct/v.mp4'],
  ['a name that needs escapes', 'https://a.example/my%20v%3Fa.mp4?sig=x', 'https://a.example/my%20v%3Fa.mp4'],
])('a URL may be shown without %s', (_, url, shown) => {
  expect(publicUrl(url)).toBe(shown)
})

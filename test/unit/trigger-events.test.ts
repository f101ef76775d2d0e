import { expect, test } from 'vitest'
import { namesIn, readEvents } from '../../src/producer/triggers/event.ts'
import { readMessage, waitedOnce } from '../../src/producer/triggers/message.ts'
import { blobCreated, cloudBlobCreated } from '../support/events.ts'

const media = 'https://acct.blob.core.windows.net/media/'
const url = `${media}in/film.mp4`

/** As a store of that container answers. */
const nameOf = (of: string) => {
  const { href } = new URL(of)
  return href.startsWith(media) ? decodeURIComponent(href.slice(media.length)) : undefined
}
const only = (body: unknown) => {
  const [event, ...more] = readEvents(body) ?? []
  expect(more).toEqual([])
  return event
}
const named = (body: unknown) => {
  const event = only(body)
  return event?.kind === 'blob' ? namesIn(event, nameOf) : event
}

test('both schemas say the same, alone or in a list', () => {
  for (const event of [blobCreated(url), cloudBlobCreated(url)])
    for (const body of [event, [event]]) {
      expect(only(body)).toMatchObject({ kind: 'blob', url })
      expect(named(body)).toEqual(['in/film.mp4'])
    }
})

test.each(['PutBlob', 'PutBlockList', 'CopyBlob', 'FlushWithClose', 'SftpCommit'])(
  '%s writes a whole blob',
  (api) => {
    expect(named(blobCreated(url, { api }))).toEqual(['in/film.mp4'])
  },
)

test.each([
  ['a file that was only opened', blobCreated(url, { api: 'CreateFile' })],
  ['a file that was opened by SFTP', cloudBlobCreated(url, { api: 'SftpCreate' })],
  ['what was deleted', { ...blobCreated(url), eventType: 'Microsoft.Storage.BlobDeleted' }],
  ['what was renamed', { ...cloudBlobCreated(url), type: 'Microsoft.Storage.BlobRenamed' }],
])('%s is no video that landed', (_, event) => {
  expect(only(event)).toMatchObject({ kind: 'other' })
})

test('a blob of another account or container is nobody of ours', () => {
  for (const other of [
    'https://acct.blob.core.windows.net/other/in/film.mp4',
    'https://else.blob.core.windows.net/media/in/film.mp4',
    'https://acct.blob.core.windows.net.example.com/media/in/film.mp4',
    'http://169.254.169.254/media/in/film.mp4',
  ])
    expect(named(blobCreated(other))).toEqual([])
})

test('a name is found however it was escaped', () => {
  const event = blobCreated(`${media}in/100%25%20sure.mp4`)
  event.subject = '/blobServices/default/containers/media/blobs/in/100% sure.mp4'
  expect(named(event)).toEqual(['in/100% sure.mp4'])
  // Neither the subject nor the URL is what it is called: both are asked for.
  event.subject = '/blobServices/default/containers/media/blobs/in/100%25%20sure.mp4'
  expect(named(event)).toEqual(['in/100%25%20sure.mp4', 'in/100% sure.mp4'])
})

test('what was written as a file system has another address', () => {
  expect(named(blobCreated('https://acct.dfs.core.windows.net/media/in/film.mp4'))).toEqual(['in/film.mp4'])
  expect(named(blobCreated('https://acct.dfs.core.windows.net/other/in/film.mp4'))).toEqual([])
})

test.each([
  ['no object', 'film.mp4'],
  ['an empty list', []],
  ['no type', { data: { url } }],
  ['no URL', { ...blobCreated(url), data: { api: 'PutBlob' } }],
  ['a URL that is none', blobCreated('in/film.mp4')],
  ['another version of CloudEvents', { ...cloudBlobCreated(url), specversion: '0.3' }],
  ['one bad one among good ones', [blobCreated(url), { id: '1' }]],
])('%s is no event', (_, body) => {
  expect(readEvents(body)).toBeUndefined()
})

test('a message is read as Event Grid sends it, as text, and as it was put back', () => {
  const text = JSON.stringify(blobCreated(url))
  const base64 = Buffer.from(text).toString('base64')
  for (const sent of [text, base64]) {
    const message = readMessage(sent)
    expect(message).toMatchObject({ text: sent, waited: 0, events: [{ kind: 'blob', url }] })
    const again = readMessage(waitedOnce(message) ?? '')
    expect(again).toEqual({ ...message, waited: 1 })
    expect(readMessage(waitedOnce(again) ?? '')).toEqual({ ...message, waited: 2 })
  }
  expect(readMessage('no event').events).toBeUndefined()
  // Longer than a message may be: it is put back as it is.
  expect(waitedOnce({ text: 'x'.repeat(64 << 10), waited: 0, events: undefined })).toBeUndefined()
})

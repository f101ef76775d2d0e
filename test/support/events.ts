/** What Event Grid sends when a blob was written, in its own schema. */
export function blobCreated(url: string, { api = 'PutBlockList', eTag = '0x8DC1F2' } = {}) {
  return {
    topic:
      '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/acct',
    subject: subjectOf(url),
    eventType: 'Microsoft.Storage.BlobCreated',
    eventTime: '2026-03-01T09:30:00.1234567Z',
    id: '831e1650-001e-001b-66ab-eeb76e069631',
    data: dataOf(url, api, eTag),
    dataVersion: '',
    metadataVersion: '1',
  }
}

/** The same as CloudEvents 1.0. */
export function cloudBlobCreated(url: string, { api = 'PutBlockList', eTag = '0x8DC1F2' } = {}) {
  return {
    specversion: '1.0',
    source: '/subscriptions/0/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/acct',
    subject: subjectOf(url),
    type: 'Microsoft.Storage.BlobCreated',
    time: '2026-03-01T09:30:00.1234567Z',
    id: '831e1650-001e-001b-66ab-eeb76e069631',
    data: dataOf(url, api, eTag),
  }
}

const dataOf = (url: string, api: string, eTag: string) => ({
  ...{ api, url, eTag, contentType: 'video/mp4', contentLength: 524_288, blobType: 'BlockBlob' },
  ...{
    clientRequestId: '6d79dbfb-0e37-4fc4-981f-442c9ca65760',
    sequencer: '00000000000004420000000000028963',
  },
  storageDiagnostics: { batchId: 'b68529f3-68cd-4744-baa4-3c0498ec19f0' },
})

/** The path of a blob, with an account's name before the container's where the URL has one (Azurite). */
function subjectOf(url: string): string {
  const path = URL.canParse(url) ? new URL(url).pathname.slice(1) : url
  const [container, ...name] = decodeURIComponent(path).split('/')
  const isLocal = url.startsWith('http://127.0.0.1')
  const [first = '', ...rest] = isLocal ? name : [container ?? '', ...name]
  return `/blobServices/default/containers/${first}/blobs/${rest.join('/')}`
}

import {
  AnonymousCredential,
  BlobSASPermissions,
  type BlobServiceClient,
  SASProtocol,
  StorageSharedKeyCredential,
  type UserDelegationKey,
  generateBlobSASQueryParameters,
} from '@azure/storage-blob'
import { addressable } from './blob-name.ts'
import { InputError } from './errors.ts'
import type { Logger } from './log.ts'

type Link = { url: string; expires: Date }
type LinkOptions = { minutes?: number; fileName?: string }
export type Links = {
  /** Where all of them lead: what a page must be let talk to. */
  origin: string
  /** To fetch one blob; with `fileName` a browser saves it by that name. */
  read(name: string, options?: LinkOptions): Promise<Link>
  /** To write one blob, in blocks, and to ask which blocks are there already. */
  write(name: string, options?: Pick<LinkOptions, 'minutes'>): Promise<Link>
}

export const longestLinkMinutes = 60

/** A key of the account's directory signs for hours, so that a link seldom costs a request. */
const keyMinutes = 6 * 60
/** Clocks differ. */
const skewMinutes = 5

/**
 * Links for people: each opens one blob for some minutes, to whoever has it, over TLS unless the account has none.
 * Signed by a key that the directory lends to our identity (user delegation), or by the account's key where it is reached by
 * a connection string. Throws InputError `no-links` where neither is at hand. `publicUrl` is the account as people reach it,
 * where that differs.
 */
export function createLinks(
  service: BlobServiceClient,
  containerName: string,
  log: Logger,
  { publicUrl, minutes: usual = longestLinkMinutes }: { publicUrl?: string; minutes?: number } = {},
): Links {
  const container = service.getContainerClient(containerName)
  const base = publicUrl === undefined ? container.url : `${publicUrl.replace(/\/$/, '')}/${containerName}`
  const delegation = createDelegation(service, log)

  async function link(
    blobName: string,
    rights: string,
    { minutes = usual, fileName }: LinkOptions,
  ): Promise<Link> {
    const expires = new Date(Date.now() + Math.min(minutes, longestLinkMinutes) * 60_000)
    const values = {
      containerName,
      blobName,
      permissions: BlobSASPermissions.parse(rights),
      expiresOn: expires,
      protocol: base.startsWith('https:') ? SASProtocol.Https : SASProtocol.HttpsAndHttp,
      contentDisposition: fileName === undefined ? undefined : attachment(fileName),
    }
    const query = await sign(values)
    const path = addressable(blobName).split('/').map(encodeURIComponent).join('/')
    return { url: `${base}/${path}?${query}`, expires }
  }

  async function sign(values: Parameters<typeof generateBlobSASQueryParameters>[0]): Promise<string> {
    const { credential } = service
    if (credential instanceof StorageSharedKeyCredential) {
      return generateBlobSASQueryParameters(values, credential).toString()
    }
    if (credential instanceof AnonymousCredential) {
      throw new InputError(
        'no-links',
        'This system reaches its storage by a SAS, and so can make no links to it.',
      )
    }
    const key = await delegation(values.expiresOn as Date)
    return generateBlobSASQueryParameters(values, key, service.accountName).toString()
  }

  return {
    origin: new URL(base).origin,
    read: async (name, options = {}) => await link(name, 'r', options),
    // Blocks can't be put with the right to create alone. Whoever goes on with an upload asks what is there.
    write: async (name, options = {}) => await link(name, 'rcw', options),
  }
}

/** One key for all links until shortly before it ends; who asks while it is fetched waits for the same. */
function createDelegation(service: BlobServiceClient, log: Logger) {
  let key: Promise<UserDelegationKey> | undefined
  let ends = 0
  return async (until: Date): Promise<UserDelegationKey> => {
    if (key === undefined || until.getTime() + skewMinutes * 60_000 > ends) {
      const now = Date.now()
      ends = now + keyMinutes * 60_000
      key = service.getUserDelegationKey(new Date(now - skewMinutes * 60_000), new Date(ends))
      key.catch((err: unknown) => {
        ends = 0
        log.error(
          { err },
          'no key to sign links by: the identity needs the role Storage Blob Delegator on the account',
        )
      })
    }
    return await key
  }
}

/** RFC 6266: what is not ASCII stands in a form of its own. */
function attachment(fileName: string): string {
  const plain = fileName.replaceAll(/[^\w.-]/g, '_')
  const escaped = encodeURIComponent(fileName).replaceAll(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16)}`,
  )
  return `attachment; filename="${plain}"; filename*=UTF-8''${escaped}`
}

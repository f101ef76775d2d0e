import { checkOwnName, isPlainName, unescaped } from '../shared/blob-name.ts'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError } from '../shared/errors.ts'
import { publicUrl } from '../shared/redact.ts'

/** `mediaUrl` is the media container's; `allowed` are other hosts. */
export type SourcePolicy = { mediaUrl: string; allowed: string[] }

/**
 * Whether a job may name this URL to be read or written. A plain name in the media container is reached by our identity, and may
 * be none of the system's own; anything else of the media account, and any output elsewhere, comes with a SAS. Throws InputError.
 */
export function checkUrl(
  url: string,
  use: 'read' | 'write',
  { media, policy }: { media: Pick<BlobStore, 'nameOf'>; policy: SourcePolicy },
): void {
  checkHost(url, policy)
  const name = media.nameOf(url)
  if (name !== undefined) {
    checkOwnName(name, use)
    return
  }
  const { origin, pathname, search } = new URL(url)
  const container = new URL(policy.mediaUrl)
  const own = origin === container.origin
  // Its name may be escaped as well: whoever undoes that comes to the same container.
  if (own && `${unescaped(pathname)}/`.startsWith(`${container.pathname}/`)) {
    throw new InputError('bad-url', `${publicUrl(url)} names no blob of the media container.`)
  }
  if (search !== '' || (use === 'read' && !own)) return
  const [code, what] =
    use === 'read' ? (['source-forbidden', 'source'] as const) : (['output-forbidden', 'output'] as const)
  throw new InputError(
    code,
    `The ${what} ${publicUrl(url)} is not in the media container, so it needs a SAS.`,
  )
}

/**
 * Whether the system may speak to the host of a URL. The media account's own always; others only when an
 * operator listed them: `host` or `host:port` for HTTPS, `http://host:port` for a host without it. Anything else would
 * let a caller make the fleet fetch from inside its network, or send a SAS unencrypted.
 */
export function checkHost(url: string, { mediaUrl, allowed }: SourcePolicy): void {
  const { host, origin, pathname, protocol, username, password } = new URL(url)
  if (username || password) {
    throw new InputError('bad-url', 'A URL with a user name or password in it is not taken; use a SAS.')
  }
  const path = unescaped(pathname)
  if (path === undefined) {
    throw new InputError('bad-url', 'The URL has escapes that stand for no text; encode its path as UTF-8.')
  }
  if (origin === new URL(mediaUrl).origin) {
    if (isPlainName(path.slice(1))) return
    throw new InputError(
      'bad-url',
      'A path in the media account has no empty part, no backslash and no dots alone, escaped or not.',
    )
  }
  if ((protocol === 'https:' && allowed.includes(host)) || allowed.includes(origin)) return
  throw new InputError(
    'host-not-allowed',
    `The host ${host}${allowed.includes(host) ? ' without TLS' : ''} is not allowed; an operator can add it to FRAMEFLEET_SOURCE_HOSTS.`,
  )
}

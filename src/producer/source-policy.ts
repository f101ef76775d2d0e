import { InputError } from '../shared/errors.ts'

/**
 * Whether the system may read from or write to a URL. The media account's own host always; others only when an
 * operator listed them: `host` or `host:port` for HTTPS, `http://host:port` for a host without it. Anything else would
 * let a caller make the fleet fetch from inside its network, or send a SAS unencrypted.
 */
export function checkHost(url: string, { mediaUrl, allowed }: { mediaUrl: string; allowed: string[] }): void {
  const { host, origin, pathname, protocol, username, password } = new URL(url)
  if (username || password) {
    throw new InputError('bad-url', 'A URL with a user name or password in it is not taken; use a SAS.')
  }
  if (!isText(pathname)) {
    throw new InputError('bad-url', 'The URL has escapes that stand for no text; encode its path as UTF-8.')
  }
  const listed = (protocol === 'https:' && allowed.includes(host)) || allowed.includes(origin)
  if (origin === new URL(mediaUrl).origin || listed) return
  throw new InputError(
    'host-not-allowed',
    `The host ${host}${allowed.includes(host) ? ' without TLS' : ''} is not allowed; an operator can add it to FRAMEFLEET_SOURCE_HOSTS.`,
  )
}

function isText(escaped: string): boolean {
  try {
    decodeURIComponent(escaped)
    return true
  } catch {
    return false
  }
}

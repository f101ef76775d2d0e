import { InputError } from '../shared/errors.ts'

/**
 * Whether the system may read from or write to a URL. The media account's own host always; others only when an
 * operator listed them, with their port. Anything else would let a caller make the fleet fetch from inside its network.
 */
export function checkHost(url: string, { mediaUrl, allowed }: { mediaUrl: string; allowed: string[] }): void {
  const { host, protocol, username } = new URL(url)
  if (username) throw new InputError('bad-url', 'A URL with a user name in it is not taken; use a SAS.')
  const media = new URL(mediaUrl)
  const isMedia = host === media.host && protocol === media.protocol
  const listed = allowed.includes(host.toLowerCase())
  if (!isMedia && !listed) {
    throw new InputError(
      'host-not-allowed',
      `The host ${host} is not allowed; an operator can add it to FRAMEFLEET_SOURCE_HOSTS.`,
    )
  }
}

import { get, picture } from './api.js'
import { fill, h } from './dom.js'

/** @typedef {{ url: string, expires: string }} Link */
/** @typedef {Partial<Record<'source' | 'output' | 'preview' | 'report', Link>> & { images?: (Link & { name: string })[] }} Links */

/**
 * The video that was made, to be seen and fetched.
 * @param {Links} links
 * @param {string} path of the job
 * @param {AbortSignal} signal
 */
export function player({ output }, path, signal) {
  if (!output) return h('p', { class: 'empty' }, 'The video was removed.')
  const download = h('a', { href: output.url, class: 'button', download: true }, 'Download the video')
  const place = h('div', { class: 'player' })
  let link = output
  const video = h('video', {
    controls: true,
    preload: 'metadata',
    playsinline: true,
    src: link.url,
    'aria-label': 'The scored video',
  })
  video.addEventListener('error', () => void onError())
  fill(place, video)
  void showPoster()
  return h('div', {}, place, h('div', { class: 'actions' }, download))

  async function onError() {
    const code = video.error?.code
    // A page that was left open for an hour asks for another link.
    if (Date.parse(link.expires) < Date.now() && (await renew())) return play()
    // What can be fetched and not played is of a kind that this browser does not know.
    const isForeign = code === MediaError.MEDIA_ERR_DECODE || (await canBeFetched())
    if (signal.aborted) return
    if (isForeign)
      fill(
        place,
        h(
          'p',
          { class: 'note' },
          'This browser can not play the video, by its codec or its file type. Download it and open it with a player.',
        ),
      )
    else
      fill(
        place,
        h('p', { class: 'problem', role: 'alert' }, 'The video can not be fetched. Check your connection.'),
        h(
          'p',
          { class: 'actions' },
          h('button', { type: 'button', onclick: () => void renew().then(play) }, 'Try again'),
        ),
      )
  }

  function play() {
    const hadFocus = place.contains(document.activeElement)
    fill(place, video)
    video.src = link.url
    if (hadFocus) video.focus()
  }

  /** Whether there is a new link. */
  async function renew() {
    /** @type {Links} */
    const fresh = await get(`${path}/links`, signal).catch(() => ({}))
    if (!fresh.output) return false
    link = fresh.output
    download.href = link.url
    return true
  }

  /** A browser tells an answer of 404 from a strange codec to nobody. */
  async function canBeFetched() {
    try {
      const headers = { range: 'bytes=0-0' }
      return (await fetch(link.url, { headers, credentials: 'omit', signal })).ok
    } catch {
      return false
    }
  }

  /** What is seen before it plays; a browser alone may show black until then. */
  async function showPoster() {
    try {
      /** @type {{ pairs: { after: string }[] }} */
      const { pairs } = await get(`${path}/frames`, signal)
      const first = pairs[0] && (await picture(pairs[0].after, signal))
      if (first) video.poster = first
    } catch {
      // A player without a picture plays as well.
    }
  }
}

import { ask, get } from './api.js'
import { compareFrames } from './compare.js'
import { connectionSign } from './connection.js'
import { announce, confirmed, fill, h, problem, say } from './dom.js'
import { follow } from './follow.js'
import { fileName, isEnded, stateWords } from './format.js'
import { figuresOf, setProgress } from './jobs-view.js'
import { madeImages, madeScores } from './made-items.js'
import { player } from './player.js'
import { reportCard } from './report-card.js'
import { timeline } from './timeline.js'

/** @typedef {import('./api.js').Job} Job */
/** @typedef {import('./api.js').Report} Report */
/** @typedef {import('./player.js').Links} Links */

/**
 * One job: how it goes, what it made, who did what, and what can be done about it.
 * @param {Element} main
 * @param {AbortSignal} signal
 * @param {string} id
 */
export function jobPage(main, signal, id) {
  const path = `/v1/jobs/${encodeURIComponent(id)}`
  const title = h('h1', { tabindex: -1 }, 'Job')
  const badge = h('span')
  const bar = h('progress', { max: 1, 'aria-label': 'Progress' })
  const figures = h('p', { class: 'figures' })
  const actions = h('div', { class: 'actions' })
  const trouble = h('div')
  const connection = connectionSign()
  const made = h('div')
  /** @type {Job | undefined} */
  let job
  let following = true
  const batches = timeline(path, signal, () => job && job.endedAt === null, unit)

  fill(
    main,
    h('p', { class: 'back bar' }, h('a', { href: '#/' }, '← Jobs'), connection.element),
    h('div', { class: 'head' }, title, badge),
    h('div', {}, h('p', { class: 'figures mono' }, id), figures),
    ...[bar, actions, connection.trouble, trouble, made],
    h(
      'section',
      { class: 'card', 'aria-labelledby': 'batches-title' },
      h('h2', { id: 'batches-title' }, 'Batches'),
      batches.element,
    ),
  )
  bar.hidden = true
  watch()

  function unit() {
    return job?.unit ?? 'frames'
  }

  function watch() {
    following = true
    void follow(`${path}/stream`, (event, data) => event === 'job' && update(data), {
      signal,
      again: () => following,
      onState: connection.onState,
    })
  }

  /** @param {Job} now */
  function update(now) {
    const before = job
    job = now
    if (!before) batches.showAgain()
    say(title, fileName(now.source))
    document.title = `${fileName(now.source)} · framefleet`
    badge.className = `badge ${now.status}`
    say(badge, stateWords[now.status] ?? now.status)
    setProgress(bar, now)
    say(figures, figuresOf({ ...now, error: null }))
    following = now.endedAt === null
    // Nothing changes any more.
    connection.element.hidden = !following
    if (following) {
      batches.watch()
      main.querySelector('.report')?.remove()
    }
    if (before?.status === now.status && before.endedAt === now.endedAt) return
    if (before) announce(`${fileName(now.source)}: ${stateWords[now.status] ?? now.status}.`)
    fill(trouble, now.error ? failure(now.error) : null)
    showActions(now)
    if (now.status === 'succeeded' && now.endedAt !== null) void showMade(now)
    else made.replaceChildren()
    if (now.endedAt !== null) void showReport()
  }

  /** @param {Job} now */
  function showActions(now) {
    const hadFocus = actions.contains(document.activeElement)
    const running = !isEnded(now.status)
    const stopped = now.endedAt !== null && now.status !== 'succeeded'
    fill(
      actions,
      running &&
        h('button', { type: 'button', class: 'danger', onclick: () => void cancel() }, 'Cancel the job'),
      stopped &&
        h('button', { type: 'button', class: 'primary', onclick: () => void again() }, 'Run it again'),
    )
    if (hadFocus) title.focus()
  }

  async function cancel() {
    if (!(await confirmed('Cancel this job? What it has made so far is deleted.', 'Cancel the job'))) return
    await act(() => ask('DELETE', path))
  }

  async function again() {
    await act(() => ask('POST', `${path}/resume?again=true`))
    if (!following) watch()
  }

  /** @param {() => Promise<unknown>} work */
  async function act(work) {
    try {
      await work()
      trouble.replaceChildren()
    } catch (error) {
      fill(trouble, problem(error))
    }
  }

  /** @param {Job} now */
  async function showMade(now) {
    try {
      /** @type {Links} */
      const links = await get(`${path}/links`, signal)
      if (now.makes === 'images') return fill(made, madeImages(links, now))
      if (now.makes === 'scores') return fill(made, madeScores(links, now))
      fill(
        made,
        h(
          'div',
          { class: 'two' },
          h(
            'section',
            { class: 'card', 'aria-labelledby': 'compare-title' },
            h('h2', { id: 'compare-title' }, 'Before and after'),
            compareFrames(path, signal),
          ),
          h(
            'section',
            { class: 'card', 'aria-labelledby': 'video-title' },
            h('h2', { id: 'video-title' }, 'The video'),
            player(links, path, signal),
          ),
        ),
      )
    } catch (error) {
      if (!signal.aborted) fill(made, problem(error))
    }
  }

  async function showReport() {
    try {
      /** @type {Report} */
      const report = await get(`${path}/report`, signal)
      // Somebody may have run it again meanwhile.
      if (following) return
      const there = main.querySelector('.report')
      const shown = reportCard(report, unit())
      if (there) there.replaceWith(shown)
      else main.append(shown)
    } catch (error) {
      if (!signal.aborted) fill(trouble, problem(error))
    }
  }
}

/** @param {{ code: string, message: string }} error */
function failure({ code, message }) {
  return h(
    'div',
    { class: 'problem', role: 'alert' },
    h('strong', {}, message),
    h('p', {}, advice[code] ?? 'Mend the cause, then run the job again.'),
  )
}

/** @type {Record<string, string>} */
const advice = {
  'source-not-found': 'Check the URL of the source, and submit the job again.',
  'source-forbidden':
    'Give the source with a SAS, or bring it into the media container, and submit the job again.',
  'source-changed': 'Submit the job again: it will take the video as it is now.',
  'unscorable-frame':
    'Run it with "a frame that cannot be scored stays as it was", or with another model. Quarantine has the evidence (Queues).',
  'too-many-errors': 'Allow more to fail (errorThreshold), or submit it again once it is whole.',
  'model-refuses': 'Choose a model that takes frames of this size.',
  'model-refuses-size': 'Choose a model that takes frames of this size.',
  'no-items': 'Check the prefix, or the list: there is nothing in it that could be scored.',
  'not-a-video': 'Choose a file that ffmpeg can read, and submit it anew.',
  'no-video': 'Choose a file that has a picture in it, and submit it anew.',
}

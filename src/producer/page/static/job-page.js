import { ask, follow, get, picture } from './api.js'
import { compareFrames } from './compare.js'
import { announce, confirmed, fill, h, problem, say } from './dom.js'
import { count, duration, fileName, isEnded, moment, size, stateWords } from './format.js'
import { figuresOf, setProgress } from './jobs-view.js'
import { timeline } from './timeline.js'

/** @typedef {import('./api.js').Job} Job */
/** @typedef {import('./api.js').Report} Report */
/** @typedef {Partial<Record<'source' | 'output' | 'preview' | 'report', { url: string, expires: string }>>} Links */

/**
 * One job: how it goes, what it made, who did what, and what can be done about it.
 * @param {Element} main
 * @param {AbortSignal} signal
 * @param {string} id
 */
export function jobPage(main, signal, id) {
  const title = h('h1', { tabindex: -1 }, 'Job')
  const badge = h('span')
  const bar = h('progress', { max: 1, 'aria-label': 'Progress' })
  const figures = h('p', { class: 'figures' })
  const actions = h('div', { class: 'actions' })
  const trouble = h('div')
  const made = h('div')
  /** @type {Job | undefined} */
  let job
  let following = true

  fill(
    main,
    h('p', { class: 'back' }, h('a', { href: '#/' }, '← Jobs')),
    h('div', { class: 'head' }, title, badge),
    h('div', {}, h('p', { class: 'figures mono' }, id), figures),
    ...[bar, actions, trouble, made],
    h(
      'section',
      { class: 'card', 'aria-labelledby': 'batches-title' },
      h('h2', { id: 'batches-title' }, 'Batches'),
      timeline(id, signal, () => job === undefined || job.endedAt === null),
    ),
  )
  bar.hidden = true
  watch()

  function watch() {
    following = true
    void follow(`/v1/jobs/${id}/stream`, (_event, data) => update(data), {
      signal,
      again: () => following,
      onState: (_isLive, error) => {
        if (error) fill(trouble, problem(error))
      },
    })
  }

  /** @param {Job} now */
  function update(now) {
    const before = job
    job = now
    say(title, fileName(now.source))
    document.title = `${fileName(now.source)} · framefleet`
    badge.className = `badge ${now.status}`
    say(badge, stateWords[now.status] ?? now.status)
    setProgress(bar, now)
    say(figures, figuresOf({ ...now, error: null }))
    following = now.endedAt === null
    if (before?.status === now.status && before.endedAt === now.endedAt) return
    if (before) announce(`${fileName(now.source)}: ${stateWords[now.status] ?? now.status}.`)
    fill(trouble, now.error ? failure(now.error) : null)
    showActions(now)
    if (now.status === 'succeeded' && now.endedAt !== null) void showMade()
    else made.replaceChildren()
    if (now.endedAt !== null) void showReport()
  }

  /** @param {Job} now */
  function showActions(now) {
    const running = !isEnded(now.status)
    const stopped = now.endedAt !== null && now.status !== 'succeeded'
    fill(
      actions,
      running &&
        h('button', { type: 'button', class: 'danger', onclick: () => void cancel() }, 'Cancel the job'),
      stopped &&
        h('button', { type: 'button', class: 'primary', onclick: () => void again() }, 'Run it again'),
    )
  }

  async function cancel() {
    if (!(await confirmed('Cancel this job? What it has made so far is deleted.', 'Cancel the job'))) return
    await act(() => ask('DELETE', `/v1/jobs/${id}`))
  }

  async function again() {
    await act(() => ask('POST', `/v1/jobs/${id}/resume?again=true`))
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

  async function showMade() {
    try {
      /** @type {Links} */
      const links = await get(`/v1/jobs/${id}/links`, signal)
      fill(
        made,
        h(
          'div',
          { class: 'two' },
          h(
            'section',
            { class: 'card', 'aria-labelledby': 'compare-title' },
            h('h2', { id: 'compare-title' }, 'Before and after'),
            compareFrames(id, signal),
          ),
          h(
            'section',
            { class: 'card', 'aria-labelledby': 'video-title' },
            h('h2', { id: 'video-title' }, 'The video'),
            player(links),
          ),
        ),
      )
    } catch (error) {
      if (!signal.aborted) fill(made, problem(error))
    }
  }

  /** @param {Links} links */
  function player({ output }) {
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
    async function onError() {
      // A page that was left open for an hour asks for another link.
      if (Date.parse(link.expires) < Date.now()) {
        /** @type {Links} */
        const fresh = await get(`/v1/jobs/${id}/links`, signal).catch(() => ({}))
        if (fresh.output) {
          link = fresh.output
          video.src = link.url
          download.href = link.url
          return
        }
      }
      fill(
        place,
        h(
          'p',
          { class: 'note' },
          'This browser can not play the video, by its codec or its file type. Download it and open it with a player.',
        ),
      )
    }
    fill(place, video)
    void showPoster(video)
    return h('div', {}, place, h('div', { class: 'actions' }, download))
  }

  /**
   * What is seen before it plays; a browser alone may show black until then.
   * @param {HTMLVideoElement} video
   */
  async function showPoster(video) {
    try {
      /** @type {{ pairs: { after: string }[] }} */
      const { pairs } = await get(`/v1/jobs/${id}/frames`, signal)
      const first = pairs[0] && (await picture(pairs[0].after, signal))
      if (first) video.poster = first
    } catch {
      // A player without a picture plays as well.
    }
  }

  async function showReport() {
    try {
      /** @type {Report} */
      const report = await get(`/v1/jobs/${id}/report`, signal)
      const there = main.querySelector('.report')
      const shown = reportCard(report)
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
  'too-many-errors': 'Allow more frames to go unscored, or submit a video that is whole.',
  'model-refuses': 'Choose a model that takes frames of this size.',
  'model-refuses-size': 'Choose a model that takes frames of this size.',
  'not-a-video': 'Choose a file that ffmpeg can read, and submit it anew.',
  'no-video': 'Choose a file that has a picture in it, and submit it anew.',
}

/** @param {Report} report */
function reportCard(report) {
  const {
    frames,
    framesReplaced,
    framesPassedThrough,
    seconds,
    fps,
    batches,
    encoding,
    output,
    warnings,
    incidents,
  } = report
  /** @type {[string, string | undefined][]} */
  const facts = [
    ['Frames', count(frames)],
    ['Shown from a neighbour', framesReplaced.length > 0 ? count(framesReplaced.length) : undefined],
    ['Left as they were', framesPassedThrough.length > 0 ? count(framesPassedThrough.length) : undefined],
    ['Time', duration(seconds)],
    ['Speed', fps > 0 ? `${fps} frames/s` : undefined],
    ['Worker time', report.workerSeconds === undefined ? undefined : duration(report.workerSeconds)],
    ['Batches', `${count(batches.planned)}${batches.failed > 0 ? `, ${count(batches.failed)} failed` : ''}`],
    ['Model', `${report.model.name}@${report.model.version}`],
    [
      'Encoding',
      encoding && `${encoding.codec} in ${encoding.container}, crf ${encoding.crf}, ${encoding.preset}`,
    ],
    ['Output', output && size(output.bytes)],
    ['SHA-256', output?.sha256],
    ['Accepted', moment(report.createdAt)],
    ['Ended', moment(report.endedAt)],
  ]
  return h(
    'section',
    { class: 'card report', 'aria-labelledby': 'report-title' },
    h('h2', { id: 'report-title' }, 'Report'),
    h(
      'dl',
      {},
      ...facts.flatMap(([name, value]) =>
        value === undefined ? [] : [h('div', {}, h('dt', {}, name), h('dd', {}, value))],
      ),
    ),
    warnings.length > 0 && h('ul', { class: 'note' }, ...warnings.map((warning) => h('li', {}, warning))),
    incidents.length > 0 &&
      h(
        'details',
        {},
        h('summary', {}, `What went wrong on the way (${count(incidents.length)})`),
        h(
          'ul',
          {},
          ...incidents.map(({ at, entry, worker, message }) =>
            h('li', {}, `${moment(at)}, ${entry} on ${worker}: ${message}`),
          ),
        ),
      ),
  )
}

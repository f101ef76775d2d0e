import { get } from './api.js'
import { connectionSign } from './connection.js'
import { announce, fill, h, problem, say } from './dom.js'
import { follow } from './follow.js'
import { amount, count, duration, fileName, isEnded, moment, money, rate, stateWords } from './format.js'

/** @typedef {import('./api.js').Job} Job */

/**
 * Every job with how it goes, and the form for the next one.
 * @param {Element} main
 * @param {AbortSignal} signal
 * @param {Element} form
 */
export function jobsView(main, signal, form) {
  const list = h('ul', { class: 'jobs', 'aria-label': 'Jobs, newest first' })
  const empty = h(
    'p',
    { class: 'empty' },
    'No job yet. Choose a video and a model, and submit the first one.',
  )
  const connection = connectionSign()
  const older = h(
    'button',
    { type: 'button', hidden: true, onclick: () => void showOlder() },
    'Show older jobs',
  )
  const trouble = h('div')
  /** @type {Map<string, { job: Job, row: ReturnType<typeof jobRow> }>} */
  const known = new Map()

  fill(
    main,
    h('h1', { tabindex: -1 }, 'Jobs'),
    h(
      'div',
      { class: 'split' },
      form,
      h(
        'section',
        { 'aria-labelledby': 'list-title' },
        h('div', { class: 'bar' }, h('h2', { id: 'list-title' }, 'What is going on'), connection.element),
        ...[connection.trouble, trouble, empty, list, older],
      ),
    ),
  )
  empty.hidden = true

  /** @param {Job} job */
  function show(job) {
    const there = known.get(job.id)
    if (there) {
      if (there.job.status !== job.status)
        announce(`${fileName(job.source)}: ${stateWords[job.status] ?? job.status}.`)
      there.job = job
      there.row.update(job)
      return
    }
    const row = jobRow(job)
    known.set(job.id, { job, row })
    const next = [...known.values()]
      .filter((each) => each.job.createdAt < job.createdAt)
      .toSorted((a, b) => (a.job.createdAt < b.job.createdAt ? 1 : -1))[0]
    list.insertBefore(row.element, next?.row.element ?? null)
    empty.hidden = true
  }

  async function showOlder() {
    try {
      /** @type {{ jobs: Job[] }} */
      const { jobs } = await get(`/v1/jobs?limit=50&offset=${known.size}`, signal)
      for (const job of jobs) show(job)
      trouble.replaceChildren()
      older.hidden = jobs.length < 50
    } catch (error) {
      if (!signal.aborted) fill(trouble, problem(error))
    }
  }

  void follow(
    '/v1/stream',
    (event, data) => {
      if (event === 'job') return show(data)
      for (const job of data.jobs.toReversed()) show(job)
      empty.hidden = known.size > 0
      older.hidden = data.jobs.length < 50 || known.size > data.jobs.length
    },
    { signal, onState: connection.onState },
  )
}

/** @param {Job} first */
function jobRow(first) {
  const name = fileName(first.source)
  const badge = h('span')
  const bar = h('progress', { max: 1, 'aria-label': `Progress of ${name}` })
  const figures = h('p', { class: 'figures' })
  const element = h(
    'li',
    { class: 'job', 'data-id': first.id },
    h('div', { class: 'bar' }, h('a', { href: `#/jobs/${first.id}` }, name), badge),
    bar,
    figures,
  )

  /** @param {Job} job */
  function update(job) {
    badge.className = `badge ${job.status}`
    say(badge, stateWords[job.status] ?? job.status)
    setProgress(bar, job)
    say(figures, figuresOf(job))
    element.classList.toggle('ended', isEnded(job.status))
  }
  update(first)
  return { element, update }
}

/**
 * @param {HTMLProgressElement} bar
 * @param {Job} job
 */
export function setProgress(bar, job) {
  const { done, total } = job.frames
  const ended = isEnded(job.status)
  bar.hidden = ended
  if (total === null) bar.removeAttribute('value')
  else bar.value = total === 0 ? 0 : done / total
}

/**
 * How a job goes, in one line.
 * @param {Job} job
 */
export function figuresOf(job) {
  const { done, total } = job.frames
  const parts = [job.model]
  if (job.error) parts.push(job.error.message)
  else if (job.status === 'succeeded') parts.push(amount(total ?? done, job.unit))
  else if (total !== null) parts.push(`${count(done)} of ${amount(total, job.unit)}`)
  if (job.status === 'scoring' && job.fps !== null) parts.push(rate(job.fps, job.unit))
  if (job.etaSeconds !== null && job.status === 'scoring') parts.push(`${duration(job.etaSeconds)} left`)
  if (job.endedAt !== null)
    parts.push(`in ${duration((Date.parse(job.endedAt) - Date.parse(job.createdAt)) / 1_000)}`)
  if (job.cost !== null) parts.push(`cost ${money(job.cost)}`)
  if (isEnded(job.status)) parts.push(moment(job.createdAt))
  return parts.join(' · ')
}

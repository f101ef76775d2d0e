import { get } from './api.js'
import { tell } from './connection.js'
import { fill, h, say } from './dom.js'
import { isFinal, pause, untilSeen } from './follow.js'
import { count, duration } from './format.js'

/** @typedef {import('./api.js').Batch} Batch */

const pageSize = 1_000
const mostShown = 2_000
const everyMs = 2_000

/** @type {Record<Batch['state'], string>} */
const words = { waiting: 'waiting', active: 'at work', done: 'done', failed: 'failed', skipped: 'not needed' }

/**
 * Which worker had which batch, and for how long; anew every two seconds while the job runs.
 * @param {string} path of the job
 * @param {AbortSignal} signal
 * @param {() => boolean | undefined} isRunning undefined while nobody knows
 * @param {() => string} unit what its batches are made of
 */
export function timeline(path, signal, isRunning, unit) {
  /** @type {{ total: number, batches: Batch[] } | undefined} */
  let latest
  const chart = h('div', { class: 'chart' })
  const trouble = h('div')
  let isWatching = false
  const note = h('p', { class: 'figures' }, 'Looking at the batches …')
  const rows = h('tbody')
  const table = h(
    'details',
    {},
    h('summary', {}, 'Every batch as a table'),
    h(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Batches' },
      h(
        'table',
        {},
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            ...['Batch', 'From, to', 'State', 'Worker', 'Time', 'Failures', 'What went wrong'].map((name) =>
              h('th', { scope: 'col' }, name),
            ),
          ),
        ),
        rows,
      ),
    ),
  )
  table.addEventListener('toggle', () => {
    if (table.open) fill(rows, ...(latest?.batches ?? []).map(tableRow))
  })
  watch()
  return { element: h('div', {}, note, trouble, chart, table), watch, showAgain }

  /** Once it is known what the batches are made of, which may be after they came. */
  function showAgain() {
    if (latest) show(latest)
  }

  /** Once it has ended it is looked at no more, until somebody runs it again. */
  function watch() {
    if (isWatching) return
    isWatching = true
    void look().finally(() => (isWatching = false))
  }

  async function look() {
    let last = false
    while (!signal.aborted) {
      // Once more after its end: then it is as it was written down.
      const running = isRunning() ?? true
      try {
        show(await all())
        trouble.replaceChildren()
      } catch (error) {
        if (signal.aborted) return
        // Whoever shows the job says that there is none.
        if (isFinal(error)) return say(note, 'None.')
        tell(trouble, error)
      }
      if (!running && last) return
      last = !running
      await pause(everyMs, signal)
      await untilSeen(signal)
    }
  }

  /** @returns {Promise<{ total: number, batches: Batch[] }>} */
  async function all() {
    /** @type {Batch[]} */
    const batches = []
    for (;;) {
      /** @type {{ total: number, batches: Batch[] }} */
      const page = await get(`${path}/batches?limit=${pageSize}&offset=${batches.length}`, signal)
      batches.push(...page.batches)
      if (page.batches.length === 0 || batches.length >= Math.min(page.total, mostShown))
        return { total: page.total, batches }
    }
  }

  /** @param {{ total: number, batches: Batch[] }} found */
  function show(found) {
    const { total, batches } = found
    const of = (/** @type {Batch['state']} */ state) => batches.filter((each) => each.state === state).length
    const unscored = batches.reduce((sum, each) => sum + each.unscored.length, 0)
    say(
      note,
      total === 0
        ? isRunning() === false
          ? 'It was never planned.'
          : 'It is not planned yet.'
        : [
            `${count(total)} ${total === 1 ? 'batch' : 'batches'}`,
            ...(total > batches.length ? [`the first ${count(batches.length)} are shown`] : []),
            `${count(of('done'))} done`,
            ...(of('active') > 0 ? [`${count(of('active'))} at work`] : []),
            ...(of('waiting') > 0 ? [`${count(of('waiting'))} waiting`] : []),
            ...(of('failed') > 0 ? [`${count(of('failed'))} failed`] : []),
            ...(unscored > 0 ? [`${count(unscored)} ${unit()} unscored`] : []),
          ].join(' · '),
    )
    draw(chart, batches, unit())
    latest = found
    // Thousands of rows are made for those only who look at them.
    if (table.open) fill(rows, ...batches.map(tableRow))
  }
}

/**
 * @param {Element} chart
 * @param {Batch[]} batches
 * @param {string} unit
 */
function draw(chart, batches, unit) {
  const timed = batches.flatMap((batch) =>
    batch.startedAt === null || batch.seconds === null
      ? []
      : [
          {
            batch,
            from: Date.parse(batch.startedAt),
            to: Date.parse(batch.startedAt) + batch.seconds * 1_000,
          },
        ],
  )
  const start = Math.min(...timed.map(({ from }) => from))
  const end = Math.max(...timed.map(({ to }) => to))
  const span = Math.max(1, end - start)
  const workers = Map.groupBy(timed, ({ batch }) => batch.worker ?? 'unknown')
  const lanes = [...workers]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([worker, its]) =>
      h(
        'div',
        { class: 'lane' },
        h('span', { class: 'who', title: worker }, worker),
        h(
          'div',
          {
            class: 'track',
            role: 'img',
            'aria-label': `${worker}: ${its.length} ${its.length === 1 ? 'batch' : 'batches'}`,
          },
          ...its.map(({ batch, from, to }) => {
            const bar = h('span', { class: `slot ${lookOf(batch)}`, title: sentenceOf(batch, unit) })
            bar.style.setProperty('left', `${((from - start) / span) * 100}%`)
            bar.style.setProperty('width', `${Math.max(0.3, ((to - from) / span) * 100)}%`)
            return bar
          }),
        ),
      ),
    )
  const legend = h(
    'p',
    { class: 'legend' },
    ...[
      ['done', 'done'],
      ['active', 'at work'],
      ['retried', 'done after a failure'],
      ['bad', `failed, or ${unit} unscored`],
    ].map(([look, text]) => h('span', {}, h('span', { class: `slot ${look}`, 'aria-hidden': 'true' }), text)),
  )
  if (lanes.length === 0) chart.replaceChildren()
  else
    fill(
      chart,
      ...lanes,
      h('p', { class: 'axis' }, h('span', {}, '0 s'), h('span', {}, duration(span / 1_000))),
      legend,
    )
}

/** @param {Batch} batch */
function lookOf({ state, unscored, failures }) {
  if (state === 'failed' || unscored.length > 0) return 'bad'
  if (state === 'active') return 'active'
  if (state === 'skipped') return 'skipped'
  return failures > 0 ? 'retried' : 'done'
}

/**
 * @param {Batch} batch
 * @param {string} unit
 */
function sentenceOf({ index, first, frames, state, seconds, failures, error, unscored }, unit) {
  return [
    `Batch ${count(index)}: ${unit} ${count(first)} to ${count(first + frames - 1)}, ${words[state]}`,
    ...(seconds === null ? [] : [duration(seconds)]),
    ...(failures > 0 ? [`${failures} ${failures === 1 ? 'failure' : 'failures'}: ${error ?? ''}`] : []),
    ...(unscored.length > 0 ? [`unscored: ${unscored.slice(0, 10).join(', ')}`] : []),
  ].join(', ')
}

/** @param {Batch} batch */
function tableRow(batch) {
  const { index, first, frames, state, worker, seconds, failures, error, unscored } = batch
  const wrong = [
    ...(unscored.length > 0
      ? [`unscored: ${unscored.slice(0, 10).join(', ')}${unscored.length > 10 ? ' …' : ''}`]
      : []),
    ...(error ? [error] : []),
  ]
  return h(
    'tr',
    { class: lookOf(batch) === 'bad' ? 'bad' : null },
    h('th', { scope: 'row' }, count(index)),
    h('td', {}, `${count(first)}–${count(first + frames - 1)}`),
    h('td', {}, words[state]),
    h('td', {}, worker ?? '–'),
    h('td', {}, seconds === null ? '–' : duration(seconds)),
    h('td', {}, count(failures)),
    h('td', { class: 'wide' }, wrong.join('; ')),
  )
}

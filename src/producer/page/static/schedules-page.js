import { ask, get } from './api.js'
import { tell } from './connection.js'
import { announce, fill, h, problem } from './dom.js'
import { pause, untilSeen } from './follow.js'
import { moment } from './format.js'

/** @typedef {import('./api.js').ScheduleRun} Run */
/** @typedef {import('./api.js').Schedule & { id: string, nextRun: string, lastRun: Run | null }} Schedule */

const everyMs = 10_000
const columns = ['Schedule', 'When', 'Next run', 'Last run', 'While a job goes on', 'By hand']

/**
 * Jobs that are started by the clock, when each runs next, and what became of its runs.
 * @param {Element} main
 * @param {AbortSignal} signal
 */
export function schedulesPage(main, signal) {
  const trouble = h('div')
  const rows = h('tbody')
  const history = h('div')
  /** @type {string | undefined} */
  let opened

  fill(
    main,
    h('h1', { tabindex: -1 }, 'Schedules'),
    trouble,
    h(
      'section',
      { class: 'card', 'aria-labelledby': 'schedules-title' },
      h('h2', { id: 'schedules-title' }, 'Jobs by the clock'),
      table('Schedules', columns, rows),
    ),
    history,
  )
  void watch()

  async function watch() {
    while (!signal.aborted) {
      await look()
      await pause(everyMs, signal)
      await untilSeen(signal)
    }
  }

  async function look() {
    try {
      /** @type {{ schedules: Schedule[] }} */
      const { schedules } = await get('/v1/schedules', signal)
      const focused = document.activeElement?.getAttribute('data-of')
      fill(rows, ...(schedules.length > 0 ? schedules.map(row) : [none()]))
      // Who stands on a button is not thrown off it.
      for (const button of rows.querySelectorAll('button'))
        if (button.getAttribute('data-of') === focused) button.focus()
      if (opened !== undefined) await showRuns(opened)
      trouble.replaceChildren()
    } catch (error) {
      if (!signal.aborted) tell(trouble, error)
    }
  }

  /** @param {Schedule} schedule */
  function row({ id, cron, timezone, overlap, nextRun, lastRun }) {
    const open = h('button', { type: 'button', 'data-of': `runs ${id}`, onclick: () => void show(id) }, id)
    const run = h(
      'button',
      {
        type: 'button',
        'data-of': `run ${id}`,
        'aria-label': `Run now: ${id}`,
        onclick: () => void runNow(id),
      },
      'Run now',
    )
    return h(
      'tr',
      {},
      h('th', { scope: 'row' }, open),
      h('td', { class: 'wide' }, h('code', {}, cron), ` ${timezone ?? 'UTC'}`),
      h('td', {}, h('time', { datetime: nextRun }, moment(nextRun))),
      h('td', {}, ...(lastRun ? outcomeOf(lastRun) : ['none yet'])),
      h('td', {}, { skip: 'skipped', queue: 'waits', cancel: 'cancels it' }[overlap ?? 'skip']),
      h('td', {}, run),
    )
  }

  /** @param {string} id */
  async function show(id) {
    opened = id
    await look()
    history.querySelector('h2')?.focus()
  }

  /** @param {string} id */
  async function runNow(id) {
    try {
      /** @type {Run} */
      const run = await ask('POST', `/v1/schedules/${id}/run`, {}, { signal })
      announce(`${id}: ${run.outcome}${run.why ? `. ${run.why}` : ''}`)
      await show(id)
    } catch (error) {
      if (!signal.aborted) fill(trouble, problem(error))
    }
  }

  /** @param {string} id */
  async function showRuns(id) {
    /** @type {{ runs: Run[] }} */
    const { runs } = await get(`/v1/schedules/${id}`, signal)
    const isHere = document.activeElement?.id === 'runs-title'
    const body = h('tbody', {}, ...runs.map(runRow))
    fill(
      history,
      h(
        'section',
        { class: 'card', 'aria-labelledby': 'runs-title' },
        h('h2', { id: 'runs-title', tabindex: -1 }, `Runs of ${id}`),
        runs.length > 0
          ? table('Runs', ['Of', 'What became of it'], body)
          : h('p', {}, 'There was none yet.'),
      ),
    )
    if (isHere) history.querySelector('h2')?.focus()
  }
}

/** @param {Run} run */
function runRow(run) {
  const byHand = run.by === 'hand' ? 'By hand.' : ''
  const missed = run.missed ? `${run.missed} before it were missed. ` : ''
  return h(
    'tr',
    {},
    h('th', { scope: 'row' }, h('time', { datetime: run.at }, moment(run.at))),
    // One below the other: on a phone there is no room beside it.
    h(
      'td',
      { class: 'wide' },
      ...outcomeOf(run),
      h('div', { class: 'note' }, `${missed}${run.why ?? byHand}`),
    ),
  )
}

/** @param {Run} run */
const outcomeOf = ({ outcome, jobId }) =>
  jobId === undefined || outcome !== 'started' ? [outcome] : [h('a', { href: `#/jobs/${jobId}` }, outcome)]

const none = () => h('tr', {}, h('td', { colspan: columns.length }, 'No job is started by the clock.'))

/**
 * @param {string} label
 * @param {string[]} names
 * @param {HTMLElement} body
 */
function table(label, names, body) {
  const head = h('thead', {}, h('tr', {}, ...names.map((name) => h('th', { scope: 'col' }, name))))
  return h(
    'div',
    { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label },
    h('table', {}, head, body),
  )
}

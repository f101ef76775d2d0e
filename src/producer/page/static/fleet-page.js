import { ask, get } from './api.js'
import { tell } from './connection.js'
import { announce, fill, h, problem, say } from './dom.js'
import { pause, untilSeen } from './follow.js'
import { count, duration, moment, rate } from './format.js'

/** @typedef {import('./api.js').FleetSettings} Settings */
/** @typedef {import('./api.js').WorkerRecord} Worker */
/** @typedef {{ settings: Settings, autoscaler: import('./api.js').FleetView | null, workers: Worker[], workersTotal: number, rates: { model: string, size: string, device: string, secondsPerFrame: number }[] }} Fleet */

const everyMs = 2_000

/**
 * Who is there to work, what the autoscaler makes of it and why, and between which bounds.
 * @param {Element} main
 * @param {AbortSignal} signal
 */
export function fleetPage(main, signal) {
  const trouble = h('div')
  const now = h('div', { class: 'tiles' })
  const why = h('p', { class: 'why' })
  const decisions = h('ol', { class: 'decisions', tabindex: 0, 'aria-label': 'Decisions, newest first' })
  const workers = h('tbody')
  const workersNote = h('p', { class: 'figures' })
  const rates = h('tbody')
  const form = settingsForm()

  fill(
    main,
    h('h1', { tabindex: -1 }, 'Fleet'),
    ...[trouble, now],
    h(
      'div',
      { class: 'split' },
      form.element,
      h(
        'section',
        { class: 'card', 'aria-labelledby': 'why-title' },
        h('h2', { id: 'why-title' }, 'What the autoscaler decided'),
        ...[why, decisions],
      ),
    ),
    h(
      'section',
      { class: 'card', 'aria-labelledby': 'workers-title' },
      h('div', { class: 'bar' }, h('h2', { id: 'workers-title' }, 'Workers'), workersNote),
      table('Workers', ['Worker', 'State', 'For', 'Doing', 'On', 'Speed', 'Batches', 'Leaving'], workers),
    ),
    h(
      'section',
      { class: 'card', 'aria-labelledby': 'rates-title' },
      h('h2', { id: 'rates-title' }, 'How fast they are'),
      table('Rates', ['Model', 'Size', 'On', 'Of one worker'], rates),
    ),
  )
  void watch()

  async function watch() {
    while (!signal.aborted) {
      try {
        show(await get('/v1/fleet', signal))
        trouble.replaceChildren()
      } catch (error) {
        if (!signal.aborted) tell(trouble, error)
      }
      await pause(everyMs, signal)
      await untilSeen(signal)
    }
  }

  /** @param {Fleet} fleet */
  function show({ settings, autoscaler, workers: all, workersTotal, rates: measured }) {
    const busy = all.filter(({ state }) => state === 'busy').length
    const speed = all.reduce(
      (sum, each) => sum + (each.state === 'busy' ? (each.framesPerSecond ?? 0) : 0),
      0,
    )
    fill(
      now,
      tile('Workers', count(workersTotal)),
      tile('At work', count(busy)),
      tile('Speed', speed > 0 ? rate(speed) : '–'),
      tile('Wanted', autoscaler ? count(autoscaler.target) : '–'),
      tile('Work in line', autoscaler ? duration(autoscaler.demandSeconds) : '–'),
    )
    form.show(settings, autoscaler !== null)
    say(
      why,
      autoscaler
        ? `${autoscaler.error ?? autoscaler.why}${autoscaler.byHand ? `; somebody set ${autoscaler.byHand.size} at the fleet itself, kept until ${moment(autoscaler.byHand.until)}` : ''}`
        : 'No autoscaler has been at work for a minute: the fleet stays as it is.',
    )
    why.classList.toggle('bad', Boolean(autoscaler?.error))
    fill(
      decisions,
      ...(autoscaler?.decisions ?? [])
        .toReversed()
        .map(({ at, target, why: reason }) =>
          h('li', {}, h('strong', {}, count(target)), ` ${reason} `, h('time', { datetime: at }, moment(at))),
        ),
    )
    say(workersNote, workersTotal > all.length ? `the ${count(all.length)} that beat last` : '')
    fill(
      workers,
      ...(all.length > 0 ? all.map(workerRow) : [h('tr', {}, h('td', { colspan: 8 }, 'Nobody is at work.'))]),
    )
    fill(
      rates,
      ...(measured.length > 0
        ? measured.map(({ model, size, device, secondsPerFrame }) =>
            h(
              'tr',
              {},
              h('th', { scope: 'row' }, model),
              h('td', {}, size),
              h('td', {}, device),
              h('td', {}, rate(1 / secondsPerFrame)),
            ),
          )
        : [h('tr', {}, h('td', { colspan: 4 }, 'Nothing was measured yet.'))]),
    )
  }

  function settingsForm() {
    const min = field('min', 'Never fewer than', true)
    const max = field('max', 'Never more than', true)
    const size = field('size', 'Exactly (empty: as the autoscaler decides)', false)
    const paused = h('input', { type: 'checkbox', id: 'paused' })
    const outcome = h('div')
    let isTouched = false
    let isHeeded = true
    const element = h(
      'form',
      {
        class: 'card',
        'aria-labelledby': 'set-title',
        oninput: () => (isTouched = true),
        onsubmit: (/** @type {Event} */ event) => void save(event),
      },
      h('h2', { id: 'set-title' }, 'Set the fleet'),
      h('div', { class: 'options' }, min.element, max.element, size.element),
      h('label', { class: 'check' }, paused, ' Paused: nothing is started or removed'),
      h('button', { class: 'primary' }, 'Save'),
      outcome,
    )

    /** @param {Event} event */
    async function save(event) {
      event.preventDefault()
      try {
        const wanted = {
          min: Number(min.input.value),
          max: Number(max.input.value),
          size: size.input.value === '' ? null : Number(size.input.value),
          paused: paused.checked,
        }
        /** @type {Settings} */
        const settings = await ask('PUT', '/v1/fleet', wanted, { signal })
        isTouched = false
        show(settings, isHeeded)
        const when = isHeeded
          ? 'the autoscaler heeds it at its next turn.'
          : 'no autoscaler is at work, and the next one will heed it.'
        fill(outcome, h('p', { class: 'good' }, `Saved; ${when}`))
        announce('The fleet was set.')
      } catch (error) {
        if (!signal.aborted) fill(outcome, problem(error))
      }
    }

    /**
     * @param {Settings} settings
     * @param {boolean} withAutoscaler
     */
    function show(settings, withAutoscaler) {
      isHeeded = withAutoscaler
      // What somebody is typing is not overwritten.
      if (isTouched) return
      min.input.value = String(settings.min)
      max.input.value = String(settings.max)
      size.input.value = settings.size === null ? '' : String(settings.size)
      paused.checked = settings.paused
    }
    return { element, show }
  }
}

/**
 * @param {string} id
 * @param {string} label
 * @param {boolean} required
 */
function field(id, label, required) {
  const input = h('input', { id, type: 'number', min: 0, max: 10_000, step: 1, required })
  return { input, element: h('div', {}, h('label', { for: id }, label), input) }
}

/**
 * @param {string} name
 * @param {string} value
 */
const tile = (name, value) => h('dl', { class: 'tile' }, h('dt', {}, name), h('dd', {}, value))

/**
 * @param {string} label
 * @param {string[]} columns
 * @param {HTMLElement} body
 */
function table(label, columns, body) {
  const head = h('thead', {}, h('tr', {}, ...columns.map((name) => h('th', { scope: 'col' }, name))))
  return h(
    'div',
    { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label },
    h('table', {}, head, body),
  )
}

/** @param {Worker} worker */
function workerRow({ id, state, since, models, device, framesPerSecond, batches, leaving }) {
  return h(
    'tr',
    {},
    h('th', { scope: 'row' }, id),
    h('td', {}, h('span', { class: `badge ${state}` }, state)),
    h('td', {}, duration((Date.now() - since) / 1_000)),
    h('td', {}, state === 'busy' || state === 'draining' ? (models[0] ?? 'its first batch') : '–'),
    h('td', {}, device ?? '–'),
    h('td', {}, framesPerSecond === null ? '–' : rate(framesPerSecond)),
    h('td', {}, count(batches)),
    h('td', {}, leaving ?? '–'),
  )
}

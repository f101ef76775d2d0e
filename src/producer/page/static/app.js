import { forgetToken, get, keepToken, token } from './api.js'
import { fill, h, problem } from './dom.js'
import { fleetPage } from './fleet-page.js'
import { jobPage } from './job-page.js'
import { jobsView } from './jobs-view.js'
import { schedulesPage } from './schedules-page.js'

const main = /** @type {HTMLElement} */ (document.getElementById('main'))
const nav = /** @type {HTMLElement} */ (document.getElementById('nav'))

/** What is shown stops what it is doing when something else is. */
let leaving = new AbortController()
let isFirst = true

takeTokenFromAddress()
addEventListener('hashchange', () => {
  takeTokenFromAddress()
  show()
})
addEventListener('signed-out', (event) => {
  forgetToken()
  signIn(/** @type {CustomEvent<string | undefined>} */ (event).detail)
})
document.getElementById('sign-out')?.addEventListener('click', () => {
  forgetToken()
  show()
})
show()

/** A link from `framefleet up` brings the token; it must not stay in the address or the history. */
function takeTokenFromAddress() {
  const found = /^#token=(.+)$/.exec(location.hash)?.[1]
  if (!found) return
  keepToken(decodeURIComponent(found))
  history.replaceState(null, '', '/')
}

function show() {
  if (!token()) return signIn()
  const [view, id = ''] = location.hash.replace(/^#\/?/, '').split('/')
  const here = view === 'fleet' || view === 'schedules' ? view : 'jobs'
  const signal = enter(
    { fleet: 'Fleet', schedules: 'Schedules', jobs: view === 'jobs' ? 'Job' : 'Jobs' }[here],
  )
  nav.hidden = false
  for (const link of nav.querySelectorAll('a[data-view]')) {
    if (link.getAttribute('data-view') === here) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  if (here === 'fleet') fleetPage(main, signal)
  else if (here === 'schedules') schedulesPage(main, signal)
  else if (view === 'jobs' && id) jobPage(main, signal, decodeURIComponent(id))
  else jobsView(main, signal)
  arrive()
}

/** @param {string} title */
function enter(title) {
  leaving.abort()
  leaving = new AbortController()
  document.title = `${title} · framefleet`
  return leaving.signal
}

/** Whoever does not see the page change hears its heading. */
function arrive() {
  scrollTo(0, 0)
  if (!isFirst) main.querySelector('h1')?.focus()
  isFirst = false
}

/** @param {string} [why] */
function signIn(why) {
  const signal = enter('Sign in')
  nav.hidden = true
  const field = h('input', {
    id: 'token',
    type: 'password',
    autocomplete: 'current-password',
    required: true,
    spellcheck: 'false',
  })
  const outcome = h('div', {}, why ? problem(why) : null)
  const form = h(
    'form',
    { class: 'card sign-in', onsubmit: (/** @type {Event} */ event) => void enterToken(event) },
    h('h1', { tabindex: -1 }, 'Sign in'),
    h(
      'p',
      {},
      'Paste a token: one of FRAMEFLEET_API_TOKENS (',
      h('code', {}, 'framefleet token'),
      ' prints it here), or one of Entra ID. It stays in this tab.',
    ),
    h('label', { for: 'token' }, 'Token'),
    ...[field, h('button', { class: 'primary' }, 'Sign in'), outcome],
  )
  fill(main, form)
  arrive()

  /** @param {Event} event */
  async function enterToken(event) {
    event.preventDefault()
    keepToken(field.value)
    try {
      await get('/v1/models', signal)
      show()
    } catch (error) {
      forgetToken()
      if (!signal.aborted) fill(outcome, problem(error))
    }
  }
}

import { forgetToken, get, keepToken, token } from './api.js'
import { confirmed, fill, h, problem } from './dom.js'
import { fleetPage } from './fleet-page.js'
import { jobPage } from './job-page.js'
import { jobsView } from './jobs-view.js'
import { schedulesPage } from './schedules-page.js'
import { submitForm } from './submit-form.js'

const main = /** @type {HTMLElement} */ (document.getElementById('main'))
const nav = /** @type {HTMLElement} */ (document.getElementById('nav'))

/** What is shown stops what it is doing when something else is. */
let leaving = new AbortController()
let isFirst = true
/** The address of what is shown. @type {string | undefined} */
let shown
/** Lasts longer than the view it stands in: what is being uploaded goes on. @type {ReturnType<typeof submitForm> | undefined} */
let form
let breakOff = new AbortController()
/** An address is whatever somebody put into a link: what is no id is asked for nowhere. */
const isJobId = /^[a-z0-9][a-z0-9-]{7,63}$/
const otherToken =
  'This link signs you in with another token than the one you have. From then on you are whoever that token is for.'

void takeTokenFromAddress()
addEventListener('hashchange', () => {
  void takeTokenFromAddress()
  // A place within the page is no view, nor is what is shown already shown again.
  if (/^(#\/.*)?$/.test(location.hash) && routeOf(location.hash) !== shown) show()
})
addEventListener('signed-out', (event) => {
  forgetToken()
  signIn(/** @type {CustomEvent<string | undefined>} */ (event).detail)
})
document.getElementById('sign-out')?.addEventListener('click', () => void signOut())
document.querySelector('.skip')?.addEventListener('click', (event) => {
  event.preventDefault()
  main.focus()
})
show()

/** @param {string} hash */
function routeOf(hash) {
  return hash.startsWith('#/') ? hash.slice(2) : ''
}

async function signOut() {
  if (form?.isBusy() && !(await confirmed('A video is being uploaded. Break it off?', 'Sign out'))) return
  forgetForm()
  forgetToken()
  show()
}

/** What somebody has chosen is nobody else's. */
function forgetForm() {
  breakOff.abort()
  breakOff = new AbortController()
  form = undefined
}

/**
 * A link from `framefleet up` brings the token; it must not stay in the address or the history. Whoever is signed in by another
 * one is asked: else any link would have them work, and bring their videos, in somebody else's name.
 */
async function takeTokenFromAddress() {
  const found = /^#token=(.+)$/.exec(location.hash)?.[1]
  if (!found) return
  history.replaceState(null, '', '/')
  const brought = unescaped(found)
  const own = token()
  if (own === null) keepToken(brought)
  else if (own !== brought && (await confirmed(otherToken, 'Use the token of the link'))) {
    forgetForm()
    keepToken(brought)
    show()
  }
}

/** @param {string} text */
function unescaped(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function show() {
  if (!token()) return signIn()
  const route = routeOf(location.hash)
  const [view, id = ''] = route.split('/')
  const here = view === 'fleet' || view === 'schedules' ? view : 'jobs'
  const signal = enter(
    { fleet: 'Fleet', schedules: 'Schedules', jobs: view === 'jobs' ? 'Job' : 'Jobs' }[here],
  )
  shown = route
  nav.hidden = false
  for (const link of nav.querySelectorAll('a[data-view]')) {
    if (link.getAttribute('data-view') === here) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  if (here === 'fleet') fleetPage(main, signal)
  else if (here === 'schedules') schedulesPage(main, signal)
  else if (view === 'jobs' && isJobId.test(id)) jobPage(main, signal, id)
  else if (view === 'jobs' && id)
    fill(main, h('h1', { tabindex: -1 }, 'Job'), problem(`There is no job ${id}.`))
  else {
    form ??= submitForm(breakOff.signal)
    jobsView(main, signal, form.element)
    form.show()
  }
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
  shown = undefined
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
      ' prints it here), or one of Entra ID. It stays in this tab: another one asks for it as well.',
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

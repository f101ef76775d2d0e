import { ApiError, ask, get, picture } from './api.js'
import { announce, fill, h, problem } from './dom.js'
import { sourceField } from './source-field.js'

/** @typedef {import('./api.js').Model} Model */

/** Codecs of file types that do not hold all. @type {Record<string, string[]>} */
const holds = { webm: ['vp9', 'av1'] }

/**
 * Brings a video, or names one, and submits a job. It outlives the view that shows it: an upload goes on while something else is
 * looked at.
 *
 *   idle ──submit──► bringing ──► asking ──accepted──► idle, empty
 *     ▲                 │            │
 *     └──failed, cancelled, refused──┘   what was chosen and brought stays
 *
 * @param {AbortSignal} signal of being signed in: what is being uploaded is broken off with it
 */
export function submitForm(signal) {
  const video = sourceField('Video', 'Choose a video file', 'video/*,.mkv,.mts,.mxf', 'source')
  const style = sourceField('Style image', 'Choose an image file', 'image/*', 'style')
  const models = h('div', { class: 'models' }, h('p', {}, 'Looking for models …'))
  const styleBox = h('div', { hidden: true }, style.element)
  const container = choice('container', 'File type', [['', 'As the source'], 'mp4', 'mkv', 'webm'])
  const codec = choice('codec', 'Codec', [['', 'Usual for the file type'], 'h264', 'hevc', 'vp9', 'av1'])
  const onError = choice('onError', 'A frame that cannot be scored', [
    ['fail', 'ends the job'],
    ['passthrough', 'stays as it was'],
  ])
  const priority = h('input', { id: 'priority', type: 'number', min: 1, max: 10, value: 5, required: true })
  const submit = h('button', { class: 'primary' }, 'Submit')
  const outcome = h('div', { class: 'outcome' })
  let isBusy = false
  /** What came of it while something else was shown. */
  let isNews = false
  /** @type {{ body: string, key: string } | undefined} The same request again may meet the job that it has made. */
  let asked
  let modelsShown = ''

  const form = h(
    'form',
    {
      class: 'card submit',
      'aria-labelledby': 'submit-title',
      onsubmit: (/** @type {Event} */ event) => void onSubmit(event),
    },
    h('h2', { id: 'submit-title' }, 'New job'),
    video.element,
    h('fieldset', {}, h('legend', {}, 'Model'), models),
    styleBox,
    h(
      'details',
      {},
      h('summary', {}, 'Options'),
      h(
        'div',
        { class: 'options' },
        ...[container.element, codec.element, onError.element],
        h('div', {}, h('label', { for: 'priority' }, 'Priority, 10 goes first'), priority),
      ),
    ),
    submit,
    outcome,
  )

  return {
    element: form,
    isBusy: () => isBusy,
    /** To be called each time that it is shown. */
    show() {
      void showModels()
      if (!isBusy && !isNews) outcome.replaceChildren()
      isNews = false
    },
  }

  async function showModels() {
    try {
      /** @type {{ models: Model[] }} */
      const found = await get('/v1/models', signal)
      // The newest version of each stands first.
      const newest = [...new Map(found.models.toReversed().map((model) => [model.name, model])).values()]
      const shown = newest
        .filter(takesVideo)
        .toSorted((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1))
      if (modelsShown === JSON.stringify(shown)) return
      modelsShown = JSON.stringify(shown)
      const before = new FormData(form).get('model')
      const chosen = shown.find((model) => refOf(model) === before) ?? shown[0]
      fill(models, ...shown.map((model) => modelCard(model, model === chosen, signal, onModel)))
      if (chosen) onModel(chosen)
    } catch (error) {
      if (!signal.aborted && modelsShown === '') fill(models, problem(error))
    }
  }

  /** @param {Model} model */
  function onModel(model) {
    styleBox.hidden = model.style === undefined
    style.required(model.style !== undefined && model.style.image === undefined)
    for (const each of [container, codec]) each.element.hidden = model.scores !== undefined
  }

  /** @param {Event} event */
  async function onSubmit(event) {
    event.preventDefault()
    if (isBusy) return
    const wish = {
      model: new FormData(form).get('model'),
      output: container.element.hidden ? {} : { ...container.value(), ...codec.value() },
      ...onError.value(),
      priority: Number(priority.value),
    }
    outcome.replaceChildren()
    const refusal = refusalOf(wish.output)
    if (refusal) return fill(outcome, problem(refusal))
    setBusy(true)
    try {
      const withStyle = !styleBox.hidden && !style.isEmpty()
      const source = await video.bring(outcome, signal)
      const image = withStyle ? await style.bring(outcome, signal) : undefined
      const { id } = await askFor({
        source: { url: source },
        ...(image === undefined ? {} : { style: { url: image } }),
        ...wish,
      })
      fill(outcome, h('p', { class: 'good' }, 'Submitted. ', h('a', { href: `#/jobs/${id}` }, 'Watch it')))
      announce('The job was submitted.')
      video.clear()
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof ApiError && error.code.startsWith('source-')) {
        video.forget()
        style.forget()
      }
      if (error instanceof DOMException && error.name === 'AbortError')
        fill(outcome, h('p', {}, 'Upload cancelled.'))
      else fill(outcome, problem(error))
    } finally {
      setBusy(false)
      isNews = !form.isConnected
    }
  }

  /**
   * Under the key of before where nothing has changed: whose answer was lost makes no second job.
   * @param {unknown} request
   * @returns {Promise<{ id: string }>}
   */
  async function askFor(request) {
    const body = JSON.stringify(request)
    if (asked?.body !== body) asked = { body, key: crypto.randomUUID() }
    /** @type {{ id: string }} */
    const answer = await ask('POST', '/v1/jobs', request, {
      signal,
      headers: { 'idempotency-key': asked.key },
    })
    asked = undefined
    return answer
  }

  /** A button that was disabled would lose the focus. @param {boolean} busy */
  function setBusy(busy) {
    isBusy = busy
    submit.setAttribute('aria-disabled', String(busy))
    video.element.disabled = busy
    style.element.disabled = busy
    if (busy) addEventListener('beforeunload', onUnload)
    else removeEventListener('beforeunload', onUnload)
  }
}

/** A browser asks whether the page may be left. @param {Event} event */
const onUnload = (event) => event.preventDefault()

/**
 * What the API would say after the upload.
 * @param {{ container?: string, codec?: string }} output
 */
function refusalOf({ container = '', codec = '' }) {
  const fits = holds[container]
  if (!fits || codec === '' || fits.includes(codec)) return undefined
  return `${container} does not hold ${codec}; use ${fits.join(' or ')}, or another container.`
}

/** @param {Model} model */
const refOf = ({ name, version }) => `${name}@${version}`

/** Others take rows of a table. @param {Model} model */
const takesVideo = ({ input }) => input.kind !== 'features'

/** What is there to look at first. @param {Model} model */
const rank = ({ name, scores }) => (scores ? 3 : name === 'passthrough' ? 2 : name === 'relief' ? 1 : 0)

/**
 * @param {Model} model
 * @param {boolean} isChosen
 * @param {AbortSignal} signal
 * @param {(model: Model) => void} onChoice
 */
function modelCard(model, isChosen, signal, onChoice) {
  const shown = h('span', { class: 'picture' })
  picture(`/v1/models/${refOf(model)}/picture`, signal).then(
    (url) =>
      fill(
        shown,
        url ? h('img', { src: url, alt: '', width: 320, height: 180 }) : (model.title ?? model.name),
      ),
    () => fill(shown, model.title ?? model.name),
  )
  return h(
    'label',
    { class: 'model' },
    h('input', {
      ...{
        type: 'radio',
        name: 'model',
        value: refOf(model),
        checked: isChosen,
        required: true,
      },
      onchange: () => onChoice(model),
    }),
    shown,
    h('span', { class: 'name' }, model.title ?? model.name),
    h(
      'span',
      { class: 'about' },
      model.description ?? (model.scores ? 'Scores of every frame, and no video.' : ''),
    ),
  )
}

/**
 * @param {string} name
 * @param {string} label
 * @param {(string | [string, string])[]} values the first one is usual
 */
function choice(name, label, values) {
  const select = h(
    'select',
    { id: name },
    ...values.map((each) => {
      const [value, text] = typeof each === 'string' ? [each, each] : each
      return h('option', { value }, text)
    }),
  )
  return {
    element: h('div', {}, h('label', { for: name }, label), select),
    value: () => (select.value === '' ? {} : { [name]: select.value }),
  }
}

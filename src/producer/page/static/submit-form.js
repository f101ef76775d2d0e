import { ask, get, picture } from './api.js'
import { announce, fill, h, problem, say } from './dom.js'
import { size } from './format.js'
import { createGate, upload } from './upload.js'

/** @typedef {import('./api.js').Model} Model */

/**
 * Brings a video, or names one, and submits a job.
 * @param {AbortSignal} signal of the view: what is being uploaded is broken off with it
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

  void showModels()
  return form

  async function showModels() {
    try {
      /** @type {{ models: Model[] }} */
      const found = await get('/v1/models', signal)
      // The newest version of each stands first.
      const newest = [...new Map(found.models.toReversed().map((model) => [model.name, model])).values()]
      const shown = newest.toSorted((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1))
      fill(models, ...shown.map((model, i) => modelCard(model, i === 0, signal, onModel)))
      if (shown[0]) onModel(shown[0])
    } catch (error) {
      if (!signal.aborted) fill(models, problem(error))
    }
  }

  /** @param {Model} model */
  function onModel(model) {
    styleBox.hidden = model.style === undefined
    style.required(model.style !== undefined && model.style.image === undefined)
  }

  /** @param {Event} event */
  async function onSubmit(event) {
    event.preventDefault()
    const model = new FormData(form).get('model')
    submit.disabled = true
    outcome.replaceChildren()
    try {
      const source = await video.bring(outcome, signal)
      const image = styleBox.hidden || style.isEmpty() ? undefined : await style.bring(outcome, signal)
      /** @type {{ id: string }} */
      const { id } = await ask(
        'POST',
        '/v1/jobs',
        {
          source: { url: source },
          model,
          ...(image === undefined ? {} : { style: { url: image } }),
          output: { ...container.value(), ...codec.value() },
          ...onError.value(),
          priority: Number(priority.value),
        },
        { signal, headers: { 'idempotency-key': crypto.randomUUID() } },
      )
      fill(outcome, h('p', { class: 'good' }, 'Submitted. ', h('a', { href: `#/jobs/${id}` }, 'Watch it')))
      announce('The job was submitted.')
      video.clear()
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof DOMException && error.name === 'AbortError')
        fill(outcome, h('p', {}, 'Upload cancelled.'))
      else fill(outcome, problem(error))
    } finally {
      submit.disabled = false
    }
  }
}

/** What is there to look at first. @param {Model} model */
const rank = ({ name }) => (name === 'passthrough' ? 2 : name === 'relief' ? 1 : 0)

/**
 * @param {Model} model
 * @param {boolean} isChosen
 * @param {AbortSignal} signal
 * @param {(model: Model) => void} onChoice
 */
function modelCard(model, isChosen, signal, onChoice) {
  const shown = h('span', { class: 'picture' })
  picture(`/v1/models/${model.name}@${model.version}/picture`, signal).then(
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
        value: `${model.name}@${model.version}`,
        checked: isChosen,
        required: true,
      },
      onchange: () => onChoice(model),
    }),
    shown,
    h('span', { class: 'name' }, model.title ?? model.name),
    h('span', { class: 'about' }, model.description ?? ''),
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

/**
 * A file to be brought, or the URL of one that is in storage.
 * @param {string} label
 * @param {string} invitation
 * @param {string} accept
 * @param {string} id
 */
function sourceField(label, invitation, accept, id) {
  const file = h('input', { type: 'file', id: `${id}-file`, accept, class: 'unseen', onchange: onFile })
  const drop = h(
    'label',
    { class: 'drop', for: `${id}-file` },
    h('strong', {}, invitation),
    ' or drop it here',
  )
  const url = h('input', {
    ...{ type: 'url', id: `${id}-url`, placeholder: 'https://…', autocomplete: 'off', spellcheck: 'false' },
    'aria-label': `${label} in storage: its URL`,
    oninput: () => {
      if (url.value !== '') file.value = ''
      onFile()
    },
  })
  drop.addEventListener('dragover', (event) => {
    event.preventDefault()
    drop.classList.add('over')
  })
  drop.addEventListener('dragleave', () => drop.classList.remove('over'))
  drop.addEventListener('drop', (event) => {
    event.preventDefault()
    drop.classList.remove('over')
    if (!event.dataTransfer?.files.length) return
    file.files = event.dataTransfer.files
    onFile()
  })
  const fieldset = h(
    'fieldset',
    {},
    h('legend', {}, label),
    ...[file, drop],
    h('div', { class: 'or' }, h('label', { for: `${id}-url` }, 'or its URL in storage'), url),
  )
  url.required = true

  function onFile() {
    const chosen = file.files?.[0]
    drop.classList.toggle('chosen', chosen !== undefined)
    if (chosen) {
      url.value = ''
      fill(drop, h('strong', {}, chosen.name), ` ${size(chosen.size)}`)
    } else fill(drop, h('strong', {}, invitation), ' or drop it here')
    url.required = isNeeded && !chosen
  }

  let isNeeded = true
  return {
    element: fieldset,
    isEmpty: () => url.value === '' && !file.files?.length,
    /** @param {boolean} needed */
    required(needed) {
      isNeeded = needed
      onFile()
    },
    clear() {
      file.value = ''
      url.value = ''
      onFile()
    },
    /**
     * The URL that a job names; a file is uploaded first.
     * @param {Element} place
     * @param {AbortSignal} signal
     */
    async bring(place, signal) {
      const chosen = file.files?.[0]
      return chosen ? await uploadShown(chosen, place, signal) : url.value.trim()
    },
  }
}

/**
 * @param {File} file
 * @param {Element} place
 * @param {AbortSignal} signal
 */
async function uploadShown(file, place, signal) {
  const gate = createGate()
  const leaving = new AbortController()
  const bar = h('progress', { max: Math.max(1, file.size), value: 0, 'aria-label': `Upload of ${file.name}` })
  const text = h('span', { class: 'figures' }, `0 of ${size(file.size)}`)
  const hold = h('button', { type: 'button', onclick: onHold }, 'Pause')
  const cancel = h(
    'button',
    {
      type: 'button',
      onclick: () => {
        gate.resume()
        leaving.abort()
      },
    },
    'Cancel',
  )
  fill(place, h('div', { class: 'uploading' }, bar, text, h('div', { class: 'actions' }, hold, cancel)))

  function onHold() {
    if (gate.isPaused()) gate.resume()
    else gate.pause()
    say(hold, gate.isPaused() ? 'Go on' : 'Pause')
  }

  try {
    return await upload(file, {
      gate,
      signal: AbortSignal.any([signal, leaving.signal]),
      onProgress(bytes) {
        bar.value = bytes
        say(text, `${size(bytes)} of ${size(file.size)}`)
      },
    })
  } finally {
    place.replaceChildren()
  }
}

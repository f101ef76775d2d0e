import { fill, h, say } from './dom.js'
import { size } from './format.js'
import { createGate, upload } from './upload.js'

/**
 * A file to be brought, or the URL of one that is in storage.
 * @param {string} label
 * @param {string} invitation
 * @param {string} accept
 * @param {string} id
 */
export function sourceField(label, invitation, accept, id) {
  /** @type {{ file: File, source: string } | undefined} What is in storage already is not sent again. */
  let brought
  let isNeeded = true
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
    if (!event.dataTransfer?.files.length || element.disabled) return
    file.files = event.dataTransfer.files
    onFile()
  })
  const element = h(
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

  return {
    element,
    isEmpty: () => url.value === '' && !file.files?.length,
    /** @param {boolean} needed */
    required(needed) {
      isNeeded = needed
      onFile()
    },
    clear() {
      brought = undefined
      file.value = ''
      url.value = ''
      onFile()
    },
    /** What was brought is not there any more. */
    forget() {
      brought = undefined
    },
    /**
     * The URL that a job names; a file is uploaded first, once.
     * @param {Element} place
     * @param {AbortSignal} signal
     */
    async bring(place, signal) {
      const chosen = file.files?.[0]
      if (!chosen) return url.value.trim()
      if (brought?.file !== chosen)
        brought = { file: chosen, source: await uploadShown(chosen, place, signal) }
      return brought.source
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

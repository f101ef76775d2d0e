/** @typedef {string | number | boolean | null | undefined | ((event: Event) => void)} Property */
/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * Makes an element. `on…` are listeners, `class`, `data-…` and `aria-…` attributes; null and false leave a property out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, Property>} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue
    if (typeof value === 'function') element.addEventListener(name.slice(2), value)
    else element.setAttribute(name, value === true ? '' : String(value))
  }
  add(element, ...children)
  return element
}

/**
 * @param {Element} parent
 * @param {...Child} children
 */
function add(parent, ...children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue
    parent.append(child instanceof Node ? child : String(child))
  }
}

/**
 * Puts these in place of what is there.
 * @param {Element} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren()
  add(parent, ...children)
}

/**
 * Sets a text only where it differs: a screen reader would read it again.
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/**
 * For those who can't see what has changed.
 * @param {string} sentence
 */
export function announce(sentence) {
  const place = document.getElementById('says')
  if (place) say(place, sentence)
}

/**
 * A message that is read at once.
 * @param {unknown} error
 * @returns {HTMLElement}
 */
export function problem(error) {
  return h('p', { class: 'problem', role: 'alert' }, error instanceof Error ? error.message : String(error))
}

/**
 * Asks before something is done that can't be undone.
 * @param {string} question
 * @param {string} yes
 * @returns {Promise<boolean>}
 */
export async function confirmed(question, yes) {
  const dialog = h(
    'dialog',
    { 'aria-labelledby': 'question' },
    h(
      'form',
      { method: 'dialog' },
      h('p', { id: 'question' }, question),
      h(
        'div',
        { class: 'actions' },
        h('button', { value: 'no', autofocus: true }, 'No, go back'),
        h('button', { value: 'yes', class: 'danger' }, yes),
      ),
    ),
  )
  document.body.append(dialog)
  dialog.showModal()
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }))
  dialog.remove()
  return dialog.returnValue === 'yes'
}

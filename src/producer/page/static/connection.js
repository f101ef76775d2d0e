import { fill, h, problem, say } from './dom.js'
import { isFinal } from './follow.js'

/** Whether what is shown is as it is now; and why not, where that is known. */
export function connectionSign() {
  const element = h('span', { class: 'live' }, 'Connecting …')
  const trouble = h('div')
  return {
    element,
    trouble,
    /**
     * @param {boolean} isLive
     * @param {Error} [error]
     */
    onState(isLive, error) {
      element.classList.toggle('on', isLive)
      say(element, isLive ? 'Live' : isFinal(error) ? 'Not connected' : 'Connecting again …')
      if (isLive) trouble.replaceChildren()
      else if (error) tell(trouble, error)
    },
  }
}

/**
 * The same trouble again is not told again: a screen reader would read it each time.
 * @param {Element} place
 * @param {unknown} error
 */
export function tell(place, error) {
  const said = problem(error)
  if (place.textContent !== said.textContent) fill(place, said)
}

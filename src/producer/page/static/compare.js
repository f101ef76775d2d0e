import { get, picture } from './api.js'
import { fill, h, problem } from './dom.js'
import { count } from './format.js'

/**
 * Real frames before and after, with a line between them that can be moved.
 * @param {string} path of the job
 * @param {AbortSignal} signal
 */
export function compareFrames(path, signal) {
  const place = h('div', {}, h('p', { class: 'empty' }, 'Fetching frames …'))
  void show()
  return place

  async function show() {
    try {
      /** @type {{ pairs: { frame: number, before: string, after: string }[] }} */
      const { pairs } = await get(`${path}/frames`, signal)
      if (pairs.length === 0)
        return fill(place, h('p', { class: 'empty' }, 'No frames were kept to compare.'))
      const before = h('img', { alt: '', class: 'before' })
      const after = h('img', { alt: '' })
      const range = h('input', {
        ...{
          type: 'range',
          min: 0,
          max: 100,
          value: 50,
          step: 1,
          'aria-label': 'How much of the original shows',
        },
        oninput: move,
      })
      const stage = h(
        'div',
        { class: 'compare' },
        ...[after, before, h('span', { class: 'line', 'aria-hidden': 'true' }), range],
        h('span', { class: 'tag left', 'aria-hidden': 'true' }, 'Before'),
        h('span', { class: 'tag right', 'aria-hidden': 'true' }, 'After'),
      )
      function move() {
        stage.style.setProperty('--at', `${range.value}%`)
        range.setAttribute('aria-valuetext', `${range.value} % original`)
      }
      /** @type {Map<number, Promise<(string | null)[]>>} */
      const fetched = new Map()
      let latest = 0

      /** Each pair once, unless that failed. @param {{ frame: number, before: string, after: string }} pair */
      async function picturesOf({ frame, before: one, after: other }) {
        const both = fetched.get(frame) ?? Promise.all([picture(one, signal), picture(other, signal)])
        fetched.set(frame, both)
        return await both.catch((error) => {
          fetched.delete(frame)
          throw error
        })
      }

      /** @param {number} chosen */
      async function choose(chosen) {
        const pair = pairs[chosen]
        if (!pair) return
        buttons.forEach((button, i) => button.setAttribute('aria-pressed', String(i === chosen)))
        latest = chosen
        const [one, other] = await picturesOf(pair)
        if (latest !== chosen) return
        before.src = one ?? ''
        after.src = other ?? ''
        before.alt = `Frame ${count(pair.frame)} before`
        after.alt = `Frame ${count(pair.frame)} after`
      }
      const buttons = pairs.map(({ frame }, i) =>
        h(
          'button',
          { type: 'button', 'aria-pressed': 'false', onclick: () => void choose(i).catch(() => {}) },
          `Frame ${count(frame)}`,
        ),
      )
      fill(
        place,
        stage,
        h('div', { class: 'actions', role: 'group', 'aria-label': 'Which frame' }, ...buttons),
      )
      move()
      await choose(0)
    } catch (error) {
      if (!signal.aborted) fill(place, problem(error))
    }
  }
}

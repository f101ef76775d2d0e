import { h } from './dom.js'
import { count } from './format.js'

/** @typedef {import('./api.js').Job} Job */
/** @typedef {import('./api.js').Report} Report */
/** @typedef {import('./player.js').Links} Links */

/** What no browser shows. */
const unseen = /\.tiff?$/i

/**
 * The first few of the images that were made, and where all of them are.
 * @param {Links} links
 * @param {Job} job
 */
export function madeImages({ images = [] }, { output }) {
  const pictures = images.map(({ url, name }) =>
    h(
      'li',
      {},
      h(
        'a',
        { href: url },
        !unseen.test(name) && h('img', { src: url, alt: '', loading: 'lazy' }),
        h('span', {}, name),
      ),
    ),
  )
  return h(
    'section',
    { class: 'card', 'aria-labelledby': 'images-title' },
    h('h2', { id: 'images-title' }, 'The images'),
    pictures.length > 0
      ? h('ul', { class: 'pictures' }, ...pictures)
      : h('p', { class: 'empty' }, 'There are none, or they were removed.'),
    output !== null &&
      h('p', { class: 'figures' }, 'All of them are under ', h('span', { class: 'mono' }, output)),
  )
}

/**
 * The file of scores, to be fetched.
 * @param {Links} links
 * @param {Job} job
 */
export function madeScores({ output: link }, { output }) {
  return h(
    'section',
    { class: 'card', 'aria-labelledby': 'scores-title' },
    h('h2', { id: 'scores-title' }, 'The scores'),
    link
      ? h(
          'div',
          { class: 'actions' },
          h('a', { href: link.url, class: 'button', download: true }, 'Download the scores'),
        )
      : h('p', { class: 'empty' }, 'The scores were removed.'),
    output !== null && h('p', { class: 'figures' }, 'They are at ', h('span', { class: 'mono' }, output)),
  )
}

const mostNamed = 20

/**
 * What failed of a job that went on without it, by name.
 * @param {NonNullable<Report['items']>} items
 */
export function failedItems({ failed, failures }) {
  const more = failed - Math.min(failures.length, mostNamed)
  return h(
    'details',
    {},
    h('summary', {}, `What failed (${count(failed)})`),
    h(
      'ul',
      {},
      ...failures.slice(0, mostNamed).map(({ key, message }) => h('li', {}, h('b', {}, key), `: ${message}`)),
      more > 0 && h('li', {}, `${count(more)} more, in the report`),
    ),
  )
}

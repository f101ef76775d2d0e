import { h } from './dom.js'
import { count, duration, moment, rate, size } from './format.js'
import { failedItems } from './made-items.js'

/** @typedef {import('./api.js').Report} Report */

/** @param {{ name: string, version: string }} model */
const nameOf = ({ name, version }) => (version === '' ? name : `${name}@${version}`)

/**
 * What became of a job, in figures.
 * @param {Report} report
 * @param {string} unit
 */
export function reportCard(report, unit) {
  const {
    frames,
    framesReplaced,
    framesPassedThrough,
    seconds,
    fps,
    batches,
    encoding,
    output,
    warnings,
    incidents,
    items,
  } = report
  /** @type {[string, string | undefined][]} */
  const facts = [
    [unit.replace(/^./, (letter) => letter.toUpperCase()), count(frames)],
    ['Failed', items && items.failed > 0 ? count(items.failed) : undefined],
    ['Shown from a neighbour', framesReplaced.length > 0 ? count(framesReplaced.length) : undefined],
    ['Left as they were', framesPassedThrough.length > 0 ? count(framesPassedThrough.length) : undefined],
    ['Time', duration(seconds)],
    ['Speed', fps > 0 ? rate(fps, unit) : undefined],
    ['Worker time', report.workerSeconds === undefined ? undefined : duration(report.workerSeconds)],
    ['Batches', `${count(batches.planned)}${batches.failed > 0 ? `, ${count(batches.failed)} failed` : ''}`],
    ['Model', (report.models ?? [report.model]).map(nameOf).join(', ')],
    [
      'Encoding',
      encoding && `${encoding.codec} in ${encoding.container}, crf ${encoding.crf}, ${encoding.preset}`,
    ],
    ['Output', output && size(output.bytes)],
    ['SHA-256', output?.sha256],
    ['Accepted', moment(report.createdAt)],
    ['Ended', moment(report.endedAt)],
  ]
  return h(
    'section',
    { class: 'card report', 'aria-labelledby': 'report-title' },
    h('h2', { id: 'report-title' }, 'Report'),
    h(
      'dl',
      {},
      ...facts.flatMap(([name, value]) =>
        value === undefined ? [] : [h('div', {}, h('dt', {}, name), h('dd', {}, value))],
      ),
    ),
    warnings.length > 0 && h('ul', { class: 'note' }, ...warnings.map((warning) => h('li', {}, warning))),
    items && items.failed > 0 && failedItems(items),
    incidents.length > 0 &&
      h(
        'details',
        {},
        h('summary', {}, `What went wrong on the way (${count(incidents.length)})`),
        h(
          'ul',
          {},
          ...incidents.map(({ at, entry, worker, message }) =>
            h('li', {}, `${moment(at)}, ${entry} on ${worker}: ${message}`),
          ),
        ),
      ),
  )
}

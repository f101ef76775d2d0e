import { h } from './dom.js'
import { count, duration, moment, size } from './format.js'

/** @typedef {import('./api.js').Report} Report */

/** What became of a job, in figures. @param {Report} report */
export function reportCard(report) {
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
  } = report
  /** @type {[string, string | undefined][]} */
  const facts = [
    ['Frames', count(frames)],
    ['Shown from a neighbour', framesReplaced.length > 0 ? count(framesReplaced.length) : undefined],
    ['Left as they were', framesPassedThrough.length > 0 ? count(framesPassedThrough.length) : undefined],
    ['Time', duration(seconds)],
    ['Speed', fps > 0 ? `${fps} frames/s` : undefined],
    ['Worker time', report.workerSeconds === undefined ? undefined : duration(report.workerSeconds)],
    ['Batches', `${count(batches.planned)}${batches.failed > 0 ? `, ${count(batches.failed)} failed` : ''}`],
    ['Model', `${report.model.name}@${report.model.version}`],
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

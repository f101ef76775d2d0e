const whole = new Intl.NumberFormat()
const one = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 })
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

/** @param {number} value */
export const count = (value) => whole.format(value)

/**
 * @param {number} value
 * @param {string} [unit]
 */
export const rate = (value, unit = 'frames') =>
  `${value >= 100 ? whole.format(Math.round(value)) : one.format(value)} ${unit}/s`

/**
 * One of them is called otherwise.
 * @param {number} value
 * @param {string} unit
 */
export const amount = (value, unit) => `${count(value)} ${value === 1 ? unit.replace(/s$/, '') : unit}`

/** @param {string} iso */
export const moment = (iso) => clock.format(new Date(iso))

/** @param {number} seconds */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds))
  if (seconds < 9.95) return `${one.format(Math.max(0, seconds))} s`
  if (s < 60) return `${s} s`
  if (s < 3_600) return `${Math.floor(s / 60)} min ${s % 60} s`
  if (s < 86_400) return `${Math.floor(s / 3_600)} h ${Math.floor((s % 3_600) / 60)} min`
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3_600)} h`
}

/** @param {number} bytes */
export function size(bytes) {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  let value = bytes
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000
    unit++
  }
  return `${unit === 0 ? value : one.format(value)} ${units[unit]}`
}

/**
 * In whatever currency the price of a worker hour is given in.
 * @param {number} value
 */
export const money = (value) => (value >= 1 ? value.toFixed(2) : value.toPrecision(2))

/**
 * The last part of a URL, as people call a file, or a folder.
 * @param {string} url
 */
export function fileName(url) {
  const last = /[^/]*\/?$/.exec(url.split('?')[0] ?? '')?.[0] || url
  try {
    return decodeURIComponent(last)
  } catch {
    return last
  }
}

/** @type {Record<string, string>} */
export const stateWords = {
  queued: 'Queued',
  splitting: 'Planning',
  scoring: 'Scoring',
  stitching: 'Joining',
  succeeded: 'Done',
  failed: 'Failed',
  cancelled: 'Cancelled',
}

/** @param {string} status */
export const isEnded = (status) => ['succeeded', 'failed', 'cancelled'].includes(status)

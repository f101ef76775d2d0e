import { basename } from 'node:path'
import { createBar } from './bar.ts'
import { oneLine, tell } from './output.ts'

type Progress = { sent: number; total: number }

/** How far a file has come: a bar on a terminal, a line for each tenth in a pipe, nothing when quiet. On standard error. */
export function showUpload(path: string, quiet: boolean) {
  const show = quiet
    ? { update: (_progress: Progress) => {}, close: () => {} }
    : process.stderr.isTTY
      ? bar(path)
      : lines(path)
  return show
}

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1)

function bar(path: string) {
  const name = oneLine(basename(path))
  const shown = createBar('{name} [{bar}] {done}/{all} MB', name.length + 22)
  let started = false
  return {
    update({ sent, total }: Progress) {
      const fields = { name, done: megabytes(sent), all: megabytes(total) }
      if (!started) shown.start(total || 1, sent, fields)
      started = true
      shown.update(sent, fields)
    },
    close: () => shown.stop(),
  }
}

function lines(path: string) {
  let last = -1
  return {
    update({ sent, total }: Progress) {
      const tenth = total === 0 ? 10 : Math.floor((10 * sent) / total)
      if (tenth === last) return
      last = tenth
      tell(`${oneLine(basename(path))} ${megabytes(sent)}/${megabytes(total)} MB sent`)
    },
    close: () => {},
  }
}

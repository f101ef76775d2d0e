import { InputError } from '../shared/errors.ts'
import { layout } from '../shared/layout.ts'

/** What lies under `jobs/` and `open/` is the system's own; of it only what jobs have made may be read, and nothing written. */
export function checkOwnName(name: string | undefined, use: 'read' | 'write'): void {
  const own = [layout.jobs, layout.openMarks].find((prefix) => name?.startsWith(prefix))
  if (own === undefined || (use === 'read' && /^jobs\/[^/]+\/output\.\w+(?:\/.*)?$/.test(name ?? ''))) return
  throw new InputError(
    'reserved-name',
    `${name} belongs to framefleet itself; names under ${own} can't be used here.`,
  )
}

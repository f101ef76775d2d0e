import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** What is kept of an upload, to go on with it: no link, which would be a secret. */
export type UploadState = { v: 1; source: string; file: string; blockBytes: number }

/** Storage forgets blocks that nobody made a blob of after a week. */
const keptMs = 7 * 24 * 3_600_000

/** One file as it is now: another one once a byte of it may have changed. */
export async function identityOf(path: string): Promise<string> {
  const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
  return [ino, size, mtimeNs, ctimeNs].join('-')
}

/** `$XDG_STATE_HOME/framefleet/uploads`, or what stands for it where that is not set. */
const usualDir = () =>
  join(process.env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'framefleet', 'uploads')

/** What is known of the upload of this file to this API. Without a state an upload begins anew: nothing here fails one. */
export async function openUploadState(api: string, path: string, dir = usualDir()) {
  const key = createHash('sha256')
    .update(`${api}\n${await realpath(path)}`)
    .digest('hex')
    .slice(0, 24)
  const file = join(dir, `${key}.json`)
  return {
    /** Undefined where there is none, or the file has changed since. */
    async read(identity: string): Promise<UploadState | undefined> {
      const state = parse(await readFile(file, 'utf8').catch(() => ''))
      return state?.file === identity ? state : undefined
    },
    async write(state: UploadState): Promise<void> {
      try {
        await mkdir(dir, { recursive: true, mode: 0o700 })
        await forgetOld(dir)
        const fresh = `${file}.${process.pid}`
        await writeFile(fresh, JSON.stringify(state), { mode: 0o600 })
        await rename(fresh, file)
      } catch {
        // It could not be resumed then.
      }
    },
  }
}

async function forgetOld(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    // Others tidy up as well, and another's file is no reason to keep none of ours.
    const found = await stat(join(dir, name)).catch(() => undefined)
    if (found && Date.now() - found.mtimeMs > keptMs)
      await rm(join(dir, name), { force: true }).catch(() => {})
  }
}

function parse(text: string): UploadState | undefined {
  try {
    const read = JSON.parse(text) as UploadState
    return read.v === 1 && read.blockBytes > 0 ? read : undefined
  } catch {
    return undefined
  }
}

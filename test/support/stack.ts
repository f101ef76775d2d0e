import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Queue } from 'bullmq'
import { expect } from 'vitest'
import { processesWith } from '../../scripts/chaos/processes.ts'
import { startStack } from '../../src/cli/embedded-stack.ts'
import { uploadModel, uploadVideo } from '../../src/cli/local-files.ts'
import { type Job, createClient } from '../../src/client/client.ts'
import { parseManifest } from '../../src/shared/models/manifest.ts'
import { connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'

type Options = {
  workers?: number
  autoscale?: { min: number; max: number }
  restart?: boolean
  env?: NodeJS.ProcessEnv
}
type JobOptions = Record<string, unknown> & { model?: string }

const ended = ['succeeded', 'failed', 'cancelled']

/** The whole system, real in every part, with a folder, ports and data of its own. */
export async function startTestStack({ workers = 2, autoscale, restart = true, env = {} }: Options = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'framefleet-test-'))
  const stack = await startStack({
    dir,
    ...{ workers, restart },
    ...(autoscale ? { autoscale } : {}),
    port: 0,
    env: { ...cleanEnv(), ...alike, ...env },
  }).catch(async (error: unknown) => {
    await rm(dir, { recursive: true, force: true })
    throw error
  })
  const api = createClient({ url: stack.apiUrl, token: stack.token })
  const media = createBlobStore(connectAccount(stack.env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''), 'media')

  /** Asks until the answer is as wanted: the API is what a user would ask, too. */
  async function until(id: string, wanted: (job: Job) => boolean): Promise<Job> {
    for (;;) {
      const job = await api.job(id)
      if (wanted(job)) return job
      if (ended.includes(job.status)) throw new Error(`the job ended first: ${JSON.stringify(job)}`)
      await pause(50)
    }
  }

  return {
    ...{ dir, stack, api, media },
    call: async (
      method: string,
      path: string,
      init: { body?: string; headers?: Record<string, string> } = {},
    ) =>
      await fetch(`${stack.apiUrl}${path}`, {
        method,
        ...init,
        headers: { authorization: `Bearer ${stack.token}`, ...init.headers },
      }),
    /** Stores a model as it is, without trying it first; answers what a job calls it. */
    async addModel(bytes: Uint8Array, manifest: Record<string, unknown>): Promise<string> {
      const account = { systemAccount: stack.env['FRAMEFLEET_SYSTEM_ACCOUNT'], systemContainer: 'system' }
      return await uploadModel(account, { bytes, manifest: parseManifest(manifest, 'test') })
    },
    upload: async (path: string) => await uploadVideo(media, path),
    /** Submits a local file; answers the job's id. */
    async submit(path: string, { model = 'passthrough', ...rest }: JobOptions = {}): Promise<string> {
      const url = await uploadVideo(media, path)
      return (await api.submit({ source: { url }, model, ...rest })).id
    },
    until,
    ends: async (id: string) => await until(id, ({ status }) => ended.includes(status)),
    /** Waits for success, and fetches the video to `path`. */
    async fetchOutput(id: string, path: string): Promise<string> {
      const job = await until(id, ({ status }) => ended.includes(status))
      expect(job).toMatchObject({ status: 'succeeded' })
      const [output] = await namesUnder(`jobs/${id}/output`)
      await media.download(output ?? '', path)
      return path
    },
    namesUnder,
    /** A worker that has a batch just now, once there is one. */
    async busyWorker() {
      const connection = { url: stack.env['FRAMEFLEET_REDIS_URL'] }
      const queue = new Queue('batch', { connection, prefix: '{framefleet}' })
      try {
        for (;;) {
          const active = await queue.getActive()
          const busy = stack
            .workers()
            .find(({ process }) =>
              active.some(({ processedBy }) => processedBy?.includes(`/${process.pid}-`)),
            )
          if (busy) return busy
        }
      } finally {
        await queue.close()
      }
    },
    /** Stops everything, and fails when a process or a temporary file was left behind. */
    async stop() {
      const scratch = await readdir(join(dir, 'scratch')).catch(() => [])
      const files = await Promise.all(scratch.map(async (pid) => await readdir(join(dir, 'scratch', pid))))
      await stack.stop()
      const left = await processesWith(dir)
      await rm(dir, { recursive: true, force: true })
      expect({ processes: left, files: files.flat() }).toEqual({ processes: [], files: [] })
    },
  }

  async function namesUnder(prefix: string): Promise<string[]> {
    const names: string[] = []
    for await (const { name } of media.list(prefix)) names.push(name)
    return names
  }
}

export type TestStack = Awaited<ReturnType<typeof startTestStack>>

/** A video is cut alike each time, whatever was measured meanwhile: where segments begin shows in the bytes. */
const alike = { FRAMEFLEET_PLAN_FRAMES_PER_SECOND: 'unknown' }

/** Without settings of the machine the tests run on. */
function cleanEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FRAMEFLEET_')))
}

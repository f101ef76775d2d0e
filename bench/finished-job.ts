import { openMedia, openSystem } from '../src/shared/stores.ts'
import { readConfig, mediaSettings, systemSettings } from '../src/shared/config.ts'
import { type JobSpec, type VideoPlan, makesVideo } from '../src/shared/job.ts'
import { createJobFiles } from '../src/shared/job-files.ts'
import { createModelStore, type ModelStore } from '../src/shared/models/model-store.ts'
import type { BlobStore } from '../src/shared/blob-store.ts'

/** A job that the system has done: what it was measured on is measured again without the system around it. */
export type JobRef = { env: NodeJS.ProcessEnv; jobId: string; clip: string }

type FinishedJob = { spec: JobSpec; plan: VideoPlan; media: BlobStore; models: ModelStore }

export async function openJob({ env, jobId }: JobRef): Promise<FinishedJob> {
  const config = readConfig({ ...mediaSettings, ...systemSettings }, env)
  const media = openMedia(config)
  const system = openSystem(config)
  const files = createJobFiles(media)
  const [spec, plan] = await Promise.all([files.spec(jobId), files.plan(jobId)])
  if (!makesVideo(plan)) throw new Error(`the job ${jobId} makes no video`)
  return { spec, plan, media, models: createModelStore(system) }
}

/**
 * Where things lie in Blob storage. Every name depends on ids alone, so that doing a thing twice writes one blob. Who may do
 * what to which of them is a table in docs/decisions/secrets-of-a-job.md.
 */
export const layout = {
  /** An empty blob for each job that has not ended, so that they can be found without Redis. */
  openMarks: 'open/',
  openMark: (id: string) => `open/${id}`,
  jobs: 'jobs/',
  job: (id: string) => `jobs/${id}/`,
  spec: (id: string) => `jobs/${id}/job.json`,
  /** SAS queries of the source and the style: needed by the workers, shown to nobody, deleted when the job ends. */
  secret: (id: string) => `jobs/${id}/secret.json`,
  /** The style image as the model takes it. */
  style: (id: string) => `jobs/${id}/style.png`,
  plan: (id: string) => `jobs/${id}/plan.json`,
  segments: (id: string) => `jobs/${id}/segments/`,
  segment: (id: string, batch: number) => `jobs/${id}/segments/${String(batch).padStart(6, '0')}.mp4`,
  /** Of a job that is no video: what each batch is made of, and what became of it. */
  items: (id: string) => `jobs/${id}/items/`,
  itemsOf: (id: string, folder: string, batch: number) =>
    `jobs/${id}/items/${folder}/${String(batch).padStart(6, '0')}.ndjson`,
  /** SAS queries of a batch's items; deleted when the job ends. */
  itemSecrets: (id: string) => `jobs/${id}/secrets/`,
  itemSecretsOf: (id: string, folder: string, batch: number) =>
    `jobs/${id}/secrets/${folder}/${String(batch).padStart(6, '0')}.json`,
  // Below the segments: nowhere else may a worker write.
  parts: (id: string) => `jobs/${id}/segments/parts/`,
  part: (id: string, batch: number) => `jobs/${id}/segments/parts/${String(batch).padStart(6, '0')}.ndjson`,
  /** An item's image, by its place in the batch, until it goes where the job wants it. */
  madeImage: (id: string, batch: number, place: number, extension: string) =>
    `jobs/${id}/segments/images/${String(batch).padStart(6, '0')}/${String(place).padStart(6, '0')}.${extension}`,
  /** Images of a job that names no other place for them. */
  images: (id: string) => `jobs/${id}/output.images/`,
  /** Scored frames of a video, where they are kept as images. */
  frames: (id: string) => `jobs/${id}/frames/`,
  frame: (id: string, frame: number) => `jobs/${id}/frames/${String(frame).padStart(9, '0')}.png`,
  report: (id: string) => `jobs/${id}/report.json`,
  preview: (id: string) => `jobs/${id}/preview.jpg`,
  /** A frame of the source and what became of it, as people compare them. */
  pairs: (id: string) => `jobs/${id}/pairs/`,
  pair: (id: string, frame: number, side: 'before' | 'after') =>
    `jobs/${id}/pairs/${String(frame).padStart(6, '0')}-${side}.jpg`,
  /** What became of each batch, once the job has ended. */
  timeline: (id: string) => `jobs/${id}/timeline.json`,
  output: (id: string, container: string) => `jobs/${id}/output.${container}`,
  model: (name: string, version: string) => `models/${name}/${version}/model.onnx`,
  modelStyle: (name: string, version: string) => `models/${name}/${version}/style.png`,
  modelPicture: (name: string, version: string) => `models/${name}/${version}/picture.jpg`,
  manifest: (name: string, version: string) => `models/${name}/${version}/model.json`,
  /** In the private container: where a job's output goes, and the SAS query it takes; the latter is deleted when the job ends. */
  accepted: (id: string) => `jobs/${id}/`,
  acceptedOutput: (id: string, requestHash: string) => `jobs/${id}/${requestHash}.json`,
  outputSecret: (id: string, requestHash: string) => `jobs/${id}/${requestHash}.secret`,
  /** In the system container: what people set of the fleet. */
  fleetSettings: 'fleet/settings.json',
  /** In the system container: what roles said, by day; each process has blobs of its own, numbered from 0. */
  logs: 'logs/',
  logsOf: (day: string) => `logs/${day}/`,
  log: (role: string, instance: string, startedAt: Date) => {
    const name = ownName(instance, startedAt)
    return (day: string, number: number) => `logs/${day}/${role}/${name}-${number}.ndjson`
  },
  /** A video that lands here may start a job by itself; nothing that lands elsewhere does. */
  arrivals: 'in/',
  /** Where trigger files may have outputs, besides below their own folder: `in/a/` has `out/a/`. */
  triggerOutputs: 'out/',
  /** In the system container: which of them start which job, and up to where the poller has looked. */
  triggerRules: 'triggers/rules.json',
  triggerPoll: 'triggers/poll.json',
  /** What devices measured, by the hour: `readings/2026/03/01/09/`; each process has blobs of its own in it, numbered from 0. */
  readings: 'readings/',
  readingsBlob: (hour: string, instance: string, startedAt: Date, number: number) =>
    `readings/${hour}/${ownName(instance, startedAt)}-${number}.ndjson`,
  /** In the system container: jobs that are started by the clock, and their runs. */
  schedules: 'schedules/',
  schedule: (id: string) => `schedules/${id}.json`,
  scheduleRuns: (id: string) => `schedules/${id}/runs.json`,
  upload: (name: string) => `uploads/${name}`,
  /** What was brought by a link: not under `in/`, where a video that lands may start a job by itself. */
  uploads: 'uploads/',
  /** What is below one upload: its folder's name is known to whoever began it. */
  uploadFolder: /^uploads\/[^/]+\/[0-9a-f]{12}-[0-9a-f]{16}\//,
}

/** Metadata of an output that goes where the job wanted it: its job. Where that is under `in/`, it starts no other one. */
export const outputMark = 'framefleet_job'

/** A process as it is in names of blobs: another one of the same machine and number started at another time. */
function ownName(instance: string, startedAt: Date): string {
  const name = instance.replaceAll(/[^\w.-]/g, '-').slice(0, 120)
  return `${name}-${startedAt.toISOString().replaceAll(/[-:.]/g, '')}`
}

/** What the examples speak of: a job, its source, a record of it in quarantine. */
export const id = '4f8a2b1c-7d3e-4c5f-9a6b-0e1d2c3b4a59'
export const film = 'https://account.blob.core.windows.net/media/in/film.mp4'
export const record = `batch.${id}.17`

/** What goes wrong, by the code that programs go by: the status, and a sentence as it might be. */
export const problems = {
  'bad-request': [400, 'output.crf: Too big: expected number to be <=63'],
  unauthorized: [401, 'A valid token is needed: Authorization: Bearer TOKEN.'],
  forbidden: [403, 'The role Job.Submit is needed.'],
  'job-unknown': [404, `There is no job ${id}.`],
  'not-there': [404, `The job ${id} has no report yet.`],
  'record-unknown': [404, `There is no record ${record} in quarantine.`],
  'schedule-unknown': [404, 'There is no schedule hourly.'],
  'bad-schedule': [422, 'job: {year} stands for nothing; there are dd, from, hh, min, mm, run, to, yyyy'],
  'too-many-schedules': [422, "There are 200 schedules; more can't be kept."],
  'unknown-model': [422, 'There is no model great-wafe.'],
  'upload-done': [409, 'This upload is done: submit a job with it.'],
  'no-links': [501, 'This system reaches its storage by a SAS, and so can make no links to it.'],
  'upload-unknown': [422, 'This is no upload of yours; begin one with its name.'],
  'job-ended': [409, `The job ${id} can't be cancelled any more (succeeded).`],
  'job-open': [409, `The job ${id} has not ended; it can be run again if it fails.`],
  'no-frames': [409, `The job ${id} kept no frames: submit it with intermediate "frames".`],
  'job-ending': [409, `The end of the job ${id} is still being written down; try again.`],
  'source-not-found': [422, `The source ${film} is not there (404). Check the URL.`],
  'not-retryable': [422, `The record ${record} belongs to no job; it can only be dropped.`],
  'bad-events': [400, 'The body is no event of Event Grid, nor a list of some.'],
  'bad-readings': [400, 'The body says that it is gzip, and is not, or not whole.'],
  'readings-too-large': [413, 'The body unpacks to more than 4 MiB; send it in parts.'],
  'bad-encoding': [415, 'Content-Encoding may be gzip, or none; not br.'],
  'bad-fleet': [422, 'min must not be above max: min would be 9, max 4, size auto.'],
  'too-many-requests': [429, 'Too many requests with this token; try again in 1 s.'],
  'too-much-queued': [429, 'The 9800000 frames you have in line leave no room for 432000 more.'],
  unavailable: [503, 'Storage or Redis is not answering; try again.'],
} as const satisfies Record<string, readonly [status: number, detail: string]>

/** Where a token is needed. */
export const problemsOfAll = ['unauthorized', 'forbidden', 'too-many-requests', 'unavailable'] as const

import { InputError } from '../shared/errors.ts'
import type { JobRequest } from '../shared/job.ts'
import type { StoredModel } from '../shared/models/model-store.ts'

type Asked = Pick<JobRequest, 'output' | 'intermediate'>

/** Throws InputError `bad-output` where a video's output is not of the kind that its model makes: pictures, or scores. */
export function checkVideoOutput(
  { name, scores }: Pick<StoredModel, 'name' | 'scores'>,
  { output, intermediate }: Asked,
): void {
  if (!scores && output.scores)
    throw new InputError('bad-output', `The model ${name} makes pictures: leave output.scores out.`)
  if (!scores) return
  const { url, container, codec, crf, preset } = output
  if ([url, container, codec, crf, preset].some((each) => each !== undefined))
    throw new InputError(
      'bad-output',
      `The model ${name} makes no pictures, so there will be no video: leave url, container, codec, crf and preset out, or give output.scores.`,
    )
  if (intermediate === 'frames')
    throw new InputError('bad-output', `The model ${name} makes no pictures that could be kept as frames.`)
}

/** What is told of a video is kept as scores, whether or not its job says so. */
export const withScores = ({ output, ...request }: JobRequest): JobRequest => ({
  ...request,
  output: { ...output, scores: output.scores ?? { format: 'ndjson' } },
})

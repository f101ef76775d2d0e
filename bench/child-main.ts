import { measureCodecs } from './codecs-alone.ts'
import { measureEngine } from './engine-alone.ts'
import { measureLanes } from './lanes-alone.ts'
import { measureModel } from './model-alone.ts'

/** What is measured in a process of its own, so that neither memory nor CPU time mixes with anything else. */
const measures = { codecs: measureCodecs, engine: measureEngine, lanes: measureLanes, model: measureModel }
export type Measures = typeof measures

// A child without its parent has nobody to tell.
process.on('disconnect', () => process.exit(1))

process.once('message', ({ what, job }: { what: keyof Measures; job: never }) => {
  measures[what](job).then(
    (result) => process.send?.({ result }, () => process.exit(0)),
    (error: Error) => process.send?.({ error: error.stack ?? error.message }, () => process.exit(1)),
  )
})

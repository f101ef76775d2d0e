import { InputError } from '../errors.ts'
import type { Draft, Question } from './draft.ts'
import { featuresTensor, looksLikeRows, scoresTensor, widthOf } from './features.ts'
import type { ModelFacts } from './inspect.ts'

/** Whether a draft is of a model that takes rows: as it says, or as the graph looks where it says nothing. */
export function isOfFeatures({ input }: Draft, facts: ModelFacts): boolean {
  if (input['kind'] !== undefined) return input['kind'] === 'features'
  return input['layout'] === undefined && looksLikeRows(facts)
}

/**
 * Fills in what the graph of a model of features says, and asks what its numbers are where that can't be told. Throws InputError
 * `model-mismatch` for a model that no manifest would make fit, `manifest-needed` where nothing says how many features there are.
 */
export function draftOfFeatures(draft: Draft, facts: ModelFacts): { draft: Draft; questions: Question[] } {
  const input = featuresTensor(facts, text(draft.input['name']))
  const count = draft.input['count'] ?? input.dims?.[1]
  if (typeof count !== 'number')
    throw new InputError(
      'manifest-needed',
      `The graph doesn't say how many features its input "${input.name}" takes. Give --features, or state input.count in a model.json.`,
    )
  const output = scoresTensor(facts, text(draft.scores?.['scores']))
  const width = widthOf(output)
  const { classes } = facts
  const task = draft.scores?.['task'] ?? taskOf(width, classes)
  const labels = task === 'classification' && classes && (width ?? classes.length) === classes.length
  const full: Draft = {
    ...draft,
    input: { kind: 'features', name: input.name, type: input.type, count, ...draft.input },
    scores: {
      ...{ scores: output.name, ...(labels ? { labels: classes } : {}), ...(task ? { task } : {}) },
      ...draft.scores,
    },
  }
  if (task) return { draft: full, questions: [] }
  const question: Question = {
    field: 'scores.task',
    ...(width === undefined
      ? {
          text: `The graph doesn't say how many numbers its output "${output.name}" has for each row, nor what they are.`,
          choices: ['classification', 'vector', 'anomaly'],
        }
      : {
          text: `The model gives ${width} numbers for each row, and the graph doesn't say what they are.`,
          choices: ['classification', 'vector'],
          assumed: 'vector',
        }),
  }
  return { draft: full, questions: [question] }
}

function taskOf(width: number | undefined, classes: string[] | undefined): string | undefined {
  if (width === 1) return 'anomaly'
  return classes && (width ?? classes.length) === classes.length ? 'classification' : undefined
}

const text = (value: unknown) => (typeof value === 'string' ? value : undefined)

import type { MessagePort } from 'node:worker_threads'

/** Questions and answers carry a number: an answer given to another question would be another batch's. */
export type Numbered<T> = T & { id: number }

/**
 * Answers a thread's questions one after the other, so that a run's time is its own and not also that of the one before it; what
 * can't be answered is told as `failed`.
 */
export function answerInOrder<Question>(
  port: MessagePort,
  answer: (question: Numbered<Question>) => Promise<object>,
): void {
  let last: Promise<void> = Promise.resolve()
  port.on('message', (question: Numbered<Question>) => {
    const { id } = question
    last = last
      .then(async () => await answer(question))
      .then((answered) => port.postMessage({ ...answered, id }))
      .catch((error: unknown) =>
        port.postMessage({ failed: error instanceof Error ? error.message : String(error), id }),
      )
  })
}

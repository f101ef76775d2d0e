import { expect, test } from 'vitest'
import { createTurns } from '../../src/worker/turns.ts'

/** A model that ends its runs when told to, and remembers in which order they began. */
function slowModel() {
  const begun: string[] = []
  const ends: ((ms: number) => void)[] = []
  return {
    begun,
    run: async (what: string) => {
      begun.push(what)
      return await new Promise<number>((resolve) => ends.push(resolve))
    },
    /** Ends the run that began first, and lets whoever waits for it go on. */
    async end() {
      ends.shift()?.(1)
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

test('two runs are at the model, the rest wait', async () => {
  const model = slowModel()
  const turn = createTurns(model.run, 2).join()
  const all = ['a', 'b', 'c', 'd'].map(async (what) => await turn.take(what))
  expect(model.begun).toEqual(['a', 'b'])
  for (let i = 0; i < 4; i++) await model.end()
  expect(await Promise.all(all)).toEqual([1, 1, 1, 1])
  expect(model.begun).toEqual(['a', 'b', 'c', 'd'])
})

test('the batch that came first goes first; the next one fills its gaps', async () => {
  const model = slowModel()
  const turns = createTurns(model.run, 2)
  const [first, second] = [turns.join(), turns.join()]
  const all = ['s1', 's2', 's3', 's4'].map(async (what) => await second.take(what))
  all.push(...['f1', 'f2'].map(async (what) => await first.take(what)))
  for (let i = 0; i < 6; i++) await model.end()
  await Promise.all(all)
  expect(model.begun).toEqual(['s1', 's2', 'f1', 'f2', 's3', 's4'])
})

test('a batch that leaves drops what has not begun, and waits for what has', async () => {
  const model = slowModel()
  const turns = createTurns(model.run, 2)
  const [leaving, staying] = [turns.join(), turns.join()]
  const runs = ['a', 'b', 'c'].map(async (what) => await leaving.take(what))
  const settled = Promise.allSettled(runs)
  const other = staying.take('z')
  let gone = false
  const left = leaving.leave().then(() => (gone = true))
  await model.end()
  expect(gone).toBe(false)
  await model.end()
  await left
  expect((await settled).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
  await model.end()
  expect(await other).toBe(1)
  expect(model.begun).toEqual(['a', 'b', 'z'])
})

test('a run that fails is its own batch’s matter', async () => {
  const turns = createTurns(async (what: string) => {
    await Promise.resolve()
    if (what === 'bad') throw new Error('no')
    return 1
  }, 2)
  const [one, two] = [turns.join(), turns.join()]
  const bad = one.take('bad')
  const good = two.take('good')
  await expect(bad).rejects.toThrow('no')
  expect(await good).toBe(1)
})

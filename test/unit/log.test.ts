import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)

test('a line carries the fields of the work it is about, and none of another line', async () => {
  const script = `
    import { createLogger, withLogContext } from './src/shared/log.ts'
    const log = createLogger('test', 'info')
    withLogContext({ entry: 'one' }, () => {
      log.info({ frames: 7 }, 'first')
      log.info('second')
      withLogContext({ entry: 'two' }, () => log.info('third'))
    })`
  const { stderr } = await run(process.execPath, ['--input-type=module-typescript', '-e', script])
  const lines = stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(lines.map(({ msg, entry, frames }) => [msg, entry, frames])).toEqual([
    ['first', 'one', 7],
    ['second', 'one', undefined],
    ['third', 'two', undefined],
  ])
})

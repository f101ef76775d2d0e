import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { hearEngine } from '../../src/worker/engine-output.ts'

test('the lines of an engine go on as they are; what its runtime says as it dies becomes lines of ours', async () => {
  const script = `
    process.stderr.write('{"level":"info","role":"engine","msg":"model loaded"}\\n{"level":"warn",')
    setImmediate(() => {
      process.stderr.write('"msg":"in two parts"}\\n\\nterminate called after throwing an instance of \\'Ort::Exception\\'\\n')
      process.stderr.write('x'.repeat(5_000) + '\\nand no end of line', () => process.kill(process.pid, 'SIGKILL'))
    })`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'pipe'] })
  const lines: string[] = []
  const said: string[] = []
  hearEngine(child.stderr, (line) => void lines.push(line), {
    warn: (fields: { text: string }) => void said.push(fields.text),
  } as never)
  await once(child, 'close')
  expect(lines).toEqual([
    '{"level":"info","role":"engine","msg":"model loaded"}\n',
    '{"level":"warn","msg":"in two parts"}\n',
  ])
  expect(said).toEqual([
    "terminate called after throwing an instance of 'Ort::Exception'",
    'x'.repeat(2_000),
    'and no end of line',
  ])
})

import { once } from 'node:events'
import { createServer } from 'node:http'
import { hostname } from 'node:os'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WorkerRecord } from '../../src/shared/fleet.ts'
import { instanceName, workerId } from '../../src/worker/instance-name.ts'
import { aWorker } from '../support/workers.ts'

/** Azure's metadata service, which is busy at first. */
let refusals = 0
let asked = 0
const imds = createServer((request, answer) => {
  asked++
  if (refusals-- > 0) answer.writeHead(429).end()
  else if (request.headers['metadata'] !== 'true') answer.writeHead(400).end()
  else if (request.url?.startsWith('/metadata/instance/compute/name')) answer.end('gpus_7\n')
  else answer.writeHead(404).end()
})
let imdsUrl = ''
beforeAll(async () => {
  imds.listen(0, '127.0.0.1')
  await once(imds, 'listening')
  imdsUrl = `http://127.0.0.1:${(imds.address() as { port: number }).port}`
})
afterAll(() => void imds.close())

test('a name that is given holds, and nobody is asked', async () => {
  asked = 0
  expect(await instanceName({ given: 'mine-1', imdsUrl })).toBe('mine-1')
  expect(asked).toBe(0)
})

test("Azure's name of the machine is asked for until it is there", async () => {
  refusals = 1
  asked = 0
  expect(await instanceName({ given: '', imdsUrl })).toBe('gpus_7')
  expect(asked).toBe(2)
})

test('without either it is this process; where Azure does not tell there is no worker that its fleet would not know', async () => {
  const own = `${hostname().replaceAll(/[^\w.-]/g, '-')}-${process.pid}`
  expect(await instanceName({ given: '', imdsUrl: '' })).toBe(own)
  refusals = Infinity
  await expect(instanceName({ given: '', imdsUrl, patienceMs: 0 })).rejects.toThrow(
    /does not tell the name of this machine: .*429/,
  )
})

test('ids of workers differ, on the same instance and with the same number of a process', () => {
  const ids = [workerId('vm_1'), workerId('vm_1')]
  expect(ids[0]).not.toBe(ids[1])
  for (const id of ids) expect(WorkerRecord.parse(aWorker(id)).instance).toBe('vm_1')
})

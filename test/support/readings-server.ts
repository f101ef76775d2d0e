// The readings' route alone, as a process that a test can kill: its port is the first line it says.
import type { AddressInfo } from 'node:net'
import { connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'
import { startReadings } from './readings.ts'

const [, , account = '', container = '', instance = ''] = process.argv
const media = createBlobStore(connectAccount(account), container)
const { app } = await startReadings(media, { instance })
process.stdout.write(`${(app.server.address() as AddressInfo).port}\n`)

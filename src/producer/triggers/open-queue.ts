import { AnonymousCredential, QueueClient, type StoragePipelineOptions } from '@azure/storage-queue'
import { azureCredential } from '../../shared/identity.ts'
import { isConnectionString, queueName } from './queue-setting.ts'

/** Nobody waits for an answer: the loop tries again by itself. */
const options: StoragePipelineOptions = { retryOptions: { maxTries: 2, tryTimeoutInMs: 15_000 } }

/**
 * The Storage queue of a setting: its URL (by identity, or with a SAS), or the account's connection string with
 * `QueueName=...` added.
 */
export function openArrivalsQueue(setting: string): QueueClient {
  if (isConnectionString(setting)) {
    const name = queueName.exec(setting)?.[1] ?? 'arrivals'
    return new QueueClient(setting.replace(queueName, ''), name, options)
  }
  const hasSas = new URL(setting).searchParams.has('sig')
  return new QueueClient(setting, hasSas ? new AnonymousCredential() : azureCredential(), options)
}

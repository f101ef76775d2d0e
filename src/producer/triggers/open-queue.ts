import { AnonymousCredential, QueueClient, type StoragePipelineOptions } from '@azure/storage-queue'
import { DefaultAzureCredential } from '@azure/identity'

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
  return new QueueClient(setting, hasSas ? new AnonymousCredential() : new DefaultAzureCredential(), options)
}

const queueName = /(?:^|;)QueueName=([^;]*)/i
const isConnectionString = (setting: string) => /^[A-Za-z]+=/.test(setting)

/** Whether a setting names a queue in one of those forms. */
export function namesQueue(setting: string): boolean {
  if (isConnectionString(setting)) return /AccountName=|SharedAccessSignature=/i.test(setting)
  return (
    URL.canParse(setting) &&
    /^https?:\/\/[^/]+\/(?:[^/]+\/)?[a-z0-9](?:-?[a-z0-9]){2,62}(?:\?|$)/.test(setting)
  )
}

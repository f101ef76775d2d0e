export const queueName = /(?:^|;)QueueName=([^;]*)/i
export const isConnectionString = (setting: string): boolean => /^[A-Za-z]+=/.test(setting)

/** Whether a setting names a queue in one of those forms. */
export function namesQueue(setting: string): boolean {
  if (isConnectionString(setting)) return /AccountName=|SharedAccessSignature=/i.test(setting)
  return (
    URL.canParse(setting) &&
    /^https?:\/\/[^/]+\/(?:[^/]+\/)?[a-z0-9](?:-?[a-z0-9]){2,62}(?:\?|$)/.test(setting)
  )
}

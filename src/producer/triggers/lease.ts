import type { DequeuedMessageItem, QueueClient } from '@azure/storage-queue'

export type Lease = ReturnType<typeof holdMessage>

/** Keeps a message ours until it is let go; whoever renews it gets a new receipt, and only the last one counts. */
export function holdMessage(
  queue: QueueClient,
  { messageId, popReceipt }: DequeuedMessageItem,
  leaseSeconds: number,
) {
  let receipt = popReceipt
  let last: Promise<unknown> = Promise.resolve()
  const update = async (seconds: number, text?: string) => {
    const answer = await queue.updateMessage(messageId, receipt, text, seconds)
    receipt = answer.popReceipt ?? receipt
  }
  const renew = () => {
    // One that could not be renewed is somebody else's soon: doing its work twice does no harm.
    last = last.then(async () => await update(leaseSeconds)).catch(() => {})
  }
  const timer = setInterval(renew, (leaseSeconds * 1_000) / 3)
  const release = () => clearInterval(timer)
  const settled = async () => {
    release()
    await last
  }
  return {
    /** Lets it go as it is: others see it when the lease is over. */
    release,
    /** It has been dealt with. */
    async drop(): Promise<void> {
      await settled()
      await queue.deleteMessage(messageId, receipt)
    },
    /** Others see it after so many seconds, with that text where one is given. */
    async giveBack(seconds: number, text?: string): Promise<void> {
      await settled()
      await update(seconds, text)
    },
  }
}

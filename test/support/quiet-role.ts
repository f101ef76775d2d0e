/** A process that behaves as a role does towards whoever starts it, and does nothing. */
process.on('SIGTERM', () => process.exit(0))
process.on('disconnect', () => process.exit(0))
process.send?.({ ready: true })

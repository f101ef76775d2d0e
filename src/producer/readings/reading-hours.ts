const hourMs = 3_600_000

/**
 * The hour that a reading is kept under. It is its own while that is open: until it has ended and `graceMs` are over. One
 * that comes later goes to the oldest hour that is open, so that a run over an hour that is closed sees all of it, and the
 * very next run sees what came late. Times are in ms; `hour` is when the hour begins.
 */
export function hourOf(at: number, now: number, graceMs: number): { hour: number; isLate: boolean } {
  const own = Math.floor(at / hourMs) * hourMs
  if (now < own + hourMs + graceMs) return { hour: own, isLate: false }
  return { hour: Math.floor((now - graceMs) / hourMs) * hourMs, isLate: true }
}

/** `2026/03/01/09`, in UTC. */
export const folderOf = (hour: number) => new Date(hour).toISOString().slice(0, 13).replaceAll(/[-T]/g, '/')

/** Whether nothing goes there any more. */
export const isClosed = (hour: number, now: number, graceMs: number) => now >= hour + hourMs + graceMs

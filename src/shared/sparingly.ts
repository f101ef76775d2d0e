/**
 * Calls `say` for the first few of what comes in each span of time, and holds the rest back; the next call is told how
 * many those were. For events that may come ten thousand times a second.
 */
export function sparingly<T>(
  say: (what: T, heldBack: number) => void,
  {
    most = 5,
    everyMs = 10_000,
    now = Date.now,
  }: { most?: number; everyMs?: number; now?: () => number } = {},
): (what: T) => void {
  let began = -Infinity
  let said = 0
  let heldBack = 0
  return (what) => {
    if (now() - began >= everyMs) {
      began = now()
      said = 0
    }
    if (said >= most) {
      heldBack++
      return
    }
    said++
    say(what, heldBack)
    heldBack = 0
  }
}

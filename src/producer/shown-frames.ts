/** Packets come in the order of decoding; a frame is shown at most so many places before where it is stored, as a rule. */
const reach = 64
const firstRoom = 1 << 12

/**
 * Frames in the order they are shown, as they come from the packets: nine bytes for each, so that a long film fits. Those
 * that are shown at the same time keep the order they came in.
 */
export function createShownFrames() {
  let pts = new Float64Array(firstRoom)
  let keys = new Uint8Array(firstRoom)
  let count = 0
  // As a file whose clock starts anew leaves them: too far from their place to be put there one by one.
  let scrambled = false

  function makeRoom(): void {
    const [oldPts, oldKeys] = [pts, keys]
    pts = new Float64Array(2 * count)
    keys = new Uint8Array(2 * count)
    pts.set(oldPts)
    keys.set(oldKeys)
  }

  function sort(): void {
    const order = Uint32Array.from({ length: count }, (_, i) => i)
    order.sort((a, b) => (pts[a] as number) - (pts[b] as number))
    pts = Float64Array.from(order, (i) => pts[i] as number)
    keys = Uint8Array.from(order, (i) => keys[i] as number)
    scrambled = false
  }

  return {
    /** Takes the next packet's frame: its time in ticks, and whether decoding can start there. */
    add(time: number, isKey: boolean): void {
      if (count === pts.length) makeRoom()
      let at = count++
      const last = Math.max(0, at - reach)
      while (at > last && (pts[at - 1] as number) > time) {
        pts[at] = pts[at - 1] as number
        keys[at] = keys[at - 1] as number
        at--
      }
      scrambled ||= at > 0 && (pts[at - 1] as number) > time
      pts[at] = time
      keys[at] = isKey ? 1 : 0
    },
    /** The times, ascending, and beside each a 1 where decoding can start. */
    inOrder(): ShownFrames {
      if (scrambled) sort()
      return { times: pts.subarray(0, count), keys: keys.subarray(0, count) }
    },
  }
}

export type ShownFrames = { times: Float64Array; keys: Uint8Array }

/** The numbers of the frames that decoding can start from. */
export function keyframesOf({ keys }: ShownFrames): number[] {
  const found: number[] = []
  for (let i = keys.indexOf(1); i >= 0; i = keys.indexOf(1, i + 1)) found.push(i)
  return found
}

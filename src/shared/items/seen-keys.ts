import { hash } from 'node:crypto'

const words = 4

/**
 * Which keys there were, by 128 bits of their digest: 32 to 64 bytes each, whatever their length. Two keys that share them are as
 * likely as a damaged disk.
 */
export function createSeenKeys() {
  let slots = new Uint32Array(1_024 * words)
  let count = 0

  /** Where it is, or the empty slot where it would be. */
  function placeOf(table: Uint32Array, digest: Uint32Array): number {
    const mask = table.length / words - 1
    for (let slot = (digest[0] ?? 0) & mask; ; slot = (slot + 1) & mask) {
      const at = slot * words
      const isEmpty = (table[at] ?? 0) === 0
      if (isEmpty || digest.every((word, i) => table[at + i] === word)) return at
    }
  }

  /** Of keys no two are one, so each goes where nothing is: while a million of them move nobody is answered. */
  function grow(): void {
    const larger = new Uint32Array(slots.length * 2)
    const mask = larger.length / words - 1
    for (let from = 0; from < slots.length; from += words) {
      const first = slots[from] ?? 0
      if (first === 0) continue
      let slot = first & mask
      while (larger[slot * words] !== 0) slot = (slot + 1) & mask
      for (let i = 0; i < words; i++) larger[slot * words + i] = slots[from + i] ?? 0
    }
    slots = larger
  }

  return {
    /** Answers whether it is new. */
    add(key: string): boolean {
      const bytes = hash('sha256', key, 'buffer')
      const digest = Uint32Array.from({ length: words }, (_, i) => bytes.readUInt32LE(4 * i))
      // Zero is an empty slot.
      digest[0] ||= 1
      const at = placeOf(slots, digest)
      if (slots[at] !== 0) return false
      slots.set(digest, at)
      if (++count * 2 * words > slots.length) grow()
      return true
    },
  }
}

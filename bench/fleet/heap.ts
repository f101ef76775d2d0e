/** A binary heap: what goes `before` all others comes out first. Not stable: let `before` decide between equals. */
export function createHeap<T>(before: (a: T, b: T) => boolean) {
  const items: T[] = []

  function up(from: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(items[at] as T, items[parent] as T)) return
      swap(at, parent)
      at = parent
    }
  }

  function down(from: number): void {
    let at = from
    for (;;) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      let first = at
      if (left < items.length && before(items[left] as T, items[first] as T)) first = left
      if (right < items.length && before(items[right] as T, items[first] as T)) first = right
      if (first === at) return
      swap(at, first)
      at = first
    }
  }

  function swap(a: number, b: number): void {
    const kept = items[a] as T
    items[a] = items[b] as T
    items[b] = kept
  }

  return {
    push(item: T): void {
      items.push(item)
      up(items.length - 1)
    },
    pop(): T | undefined {
      const first = items[0]
      const last = items.pop()
      if (items.length > 0 && last !== undefined) {
        items[0] = last
        down(0)
      }
      return first
    },
    peek: (): T | undefined => items[0],
    size: () => items.length,
  }
}

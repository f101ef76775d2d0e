import { seeded } from './seeded.ts'

export type Random = ReturnType<typeof seeded>

/** One fault of a storm. */
export type Planned<Kind extends string> = {
  kind: Kind
  /** When it strikes, after the storm's start. */
  atMs: number
  /** How long it stays, unless it is over as it strikes. */
  lastsMs: number
  /** For what the fault itself draws, such as its victim. */
  seed: number
}

type Draw<Kind extends string> = {
  seed: number
  /** Of the storm. */
  ms: number
  /** From one fault to the next: the least and the most. */
  gapMs: readonly [number, number]
  /** Each kind's shortest and longest stay. */
  kinds: Record<Kind, readonly [number, number]>
}

/**
 * Draws a storm: the same seed gives the same faults at the same times. The kinds come from a shuffled bag that is filled
 * again when it is empty, so that none comes twice before all have come once.
 */
export function drawStorm<Kind extends string>({ seed, ms, gapMs, kinds }: Draw<Kind>): Planned<Kind>[] {
  const random = seeded(seed)
  const storm: Planned<Kind>[] = []
  let bag: Kind[] = []
  for (let atMs = Math.round(gapMs[0] / 2); atMs < ms; atMs += random.int(...gapMs)) {
    if (bag.length === 0) bag = shuffled(Object.keys(kinds) as Kind[], random)
    const kind = bag.pop() as Kind
    const [shortest, longest] = kinds[kind]
    storm.push({ kind, atMs, lastsMs: random.int(shortest, longest), seed: random.int(1, 2 ** 30) })
  }
  return storm
}

function shuffled<T>(items: T[], random: Random): T[] {
  const left = [...items]
  return items.map(() => left.splice(random.int(0, left.length - 1), 1)[0] as T)
}

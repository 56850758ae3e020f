/**
 * Numbers of rows that were missing when the sequencer passed them. On PostgreSQL a transaction takes a number first and
 * commits later, or never. A hole stays until its event appears, or until no transaction can fill it any more.
 */
export interface Hole {
  /** The first missing number. */
  seq: number
  /** How many numbers in a row are missing. Default: 1. */
  count?: number
  /** When they were found missing, Unix ms by the database's clock. */
  noticed: number
}

const endOf = ({ seq, count = 1 }: Hole) => seq + count

/** Reads the holes of a tree. */
export const holesOf = (text: string): Hole[] => JSON.parse(text)

/**
 * Returns the holes after a tick.
 * @param seen the numbers of the events that were read, ascending
 * @example holesAfter([], { last_seq: 3, seen: [4, 7], now: 9 }) // [{ seq: 5, count: 2, noticed: 9 }]
 */
export function holesAfter(
  holes: readonly Hole[],
  { last_seq, seen, now }: { last_seq: number; seen: readonly number[]; now: number },
): Hole[] {
  const left = holes.flatMap(hole => without(hole, seen))
  let next = last_seq + 1
  for (const seq of seen) {
    if (seq > next) left.push(holeOf(next, seq, now))
    next = Math.max(next, seq + 1)
  }
  return left
}

/** Returns what is left of a hole once some of its numbers have appeared. */
function without(hole: Hole, seen: readonly number[]): Hole[] {
  const inside = seen.filter(seq => seq >= hole.seq && seq < endOf(hole))
  if (inside.length === 0) return [hole]
  const starts = [hole.seq, ...inside.map(seq => seq + 1)]
  const ends = [...inside, endOf(hole)]
  return starts.flatMap((start, i) => {
    const end = ends[i] ?? start
    return end > start ? [holeOf(start, end, hole.noticed)] : []
  })
}

function holeOf(seq: number, end: number, noticed: number): Hole {
  return end - seq === 1 ? { seq, noticed } : { seq, count: end - seq, noticed }
}

/**
 * Returns the holes that a transaction can still fill: those that were noticed after the oldest open one started.
 * @param since when that one started; null if there is none
 */
export function fillable(holes: readonly Hole[], since: number | null): Hole[] {
  return since === null ? [] : holes.filter(hole => since <= hole.noticed)
}

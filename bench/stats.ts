/** Medians, spreads, and verdicts that are given only if the spread allows one. */

/** `low` and `high`: minimum and maximum, or with at least ten values the 10th and the 90th percentile. */
export interface Spread {
  median: number
  low: number
  high: number
}

const ENOUGH_FOR_PERCENTILES = 10

/** @returns undefined without a value */
export function spreadOf(values: (number | undefined)[]): Spread | undefined {
  const sorted = values
    .filter(value => value !== undefined && Number.isFinite(value))
    .sort((a, b) => Number(a) - Number(b))
  if (sorted.length === 0) return undefined
  const at = (part: number) => {
    const place = (sorted.length - 1) * part
    const [below, above] = [sorted[Math.floor(place)] as number, sorted[Math.ceil(place)] as number]
    return below + (above - below) * (place - Math.floor(place))
  }
  const edge = sorted.length >= ENOUGH_FOR_PERCENTILES ? 0.1 : 0
  return { median: at(0.5), low: at(edge), high: at(1 - edge) }
}

/** Divides round by round, because a slow moment of the machine affects both sides of a ratio. */
export function ratioOf(above: (number | undefined)[], below: (number | undefined)[]): Spread | undefined {
  return spreadOf(above.map((value, round) => (value ?? Number.NaN) / (below[round] ?? Number.NaN)))
}

export const NOT_DECIDED = 'not decided'

/**
 * Compares a figure with an aim.
 * @returns `not decided` if the aim is within the spread, or if there are fewer than three rounds
 */
export function verdictOf(spread: Spread, aim: { least: number } | { most: number }, rounds: number): string {
  const limit = 'least' in aim ? aim.least : aim.most
  if (rounds < 3 || (spread.low < limit && limit < spread.high)) return NOT_DECIDED
  return ('least' in aim ? spread.low >= limit : spread.high <= limit) ? 'reached' : 'missed'
}

/** Says which of two is greater, by their ratio: `words[0]` if the first is. */
export function comparisonOf(ratio: Spread, words: [string, string], rounds: number): string {
  if (rounds < 3 || (ratio.low <= 1 && 1 <= ratio.high)) return NOT_DECIDED
  return ratio.low > 1 ? words[0] : words[1]
}

/** For `JSON.stringify`: shortens numbers to six digits. */
export const shortened = (_name: string, value: unknown) =>
  typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value

/**
 * Formats a duration for people.
 * @example duration(3_900, 'en') // '1 hour, 5 minutes'
 */
export function duration(seconds: number, language: string): string {
  const units = [
    ['days', 86_400],
    ['hours', 3_600],
    ['minutes', 60],
    ['seconds', 1],
  ] as const
  const parts: [(typeof units)[number][0], number][] = []
  let rest = seconds
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size)
    rest -= count * size
    // Two units are precise enough for people.
    if (count > 0 && parts.length < 2) parts.push([unit, count])
  }
  return new Intl.DurationFormat(language, { style: 'long' }).format(Object.fromEntries(parts))
}

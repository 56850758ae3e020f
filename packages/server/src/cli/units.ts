import { UsageError } from './output.ts'

/** Ten years. */
const MAX_SECONDS = 315_360_000
const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 }

/** Parses a duration into seconds: `90`, `90s`, `10m`, `1h30m`, `2d`. @throws UsageError */
export function seconds(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  const parts = [...text.matchAll(/(\d{1,9})([smhdw])/g)]
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text)
    throw new UsageError(`“${text}” is not a duration. Use seconds, or a duration like 90s, 10m, 1h30m or 2d.`)
  return parts.reduce((sum, [, count, unit = 's']) => sum + Number(count) * (SECONDS[unit] ?? 1), 0)
}

/** Parses a time into Unix ms: `2026-01-31`, `2026-01-31T12:00:00Z`, or a duration before now like `10m`, `2d`. @throws UsageError */
export function moment(text: string): number {
  if (/^\d{1,9}[smhdw]/.test(text)) return Date.now() - seconds(text) * 1_000
  const date = /^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d))?$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(date))
    throw new UsageError(
      `“${text}” is not a date like 2026-01-31 or 2026-01-31T12:00:00Z, nor a duration like 10m or 2d.`,
    )
  return date
}

/**
 * Parses when something ends into seconds from `now`: a duration (`90d`), a date (`2027-01-31`, the start of that day in
 * UTC) or a time (`2027-01-31T12:00:00Z`).
 * @throws UsageError
 */
export function secondsUntil(text: string, now: number): number {
  const isDate = /^\d{4}-\d\d-\d\d/.test(text)
  const duration = isDate ? Math.ceil((moment(text) - now) / 1_000) : seconds(text)
  if (duration <= 0) throw new UsageError(`“${text}” is in the past. Give a duration like 90d, or a later date.`)
  if (duration > MAX_SECONDS) throw new UsageError(`“${text}” is more than 10 years from now.`)
  return duration
}

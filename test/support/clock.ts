import type { Clock } from '../../packages/server/src/domain/clock.ts'

/** A clock that moves only on request: `clock.advance(seconds)`. */
export interface TestClock extends Clock {
  advance(seconds: number): void
  set(milliseconds: number): void
}

export function fixedClock(start: string | number = '2026-01-01T00:00:00Z'): TestClock {
  let now = new Date(start).getTime()
  return {
    now: () => now,
    advance: seconds => {
      now += seconds * 1_000
    },
    set: milliseconds => {
      now = milliseconds
    },
  }
}

/** The machine's clock plus an offset, for a server whose apps use the machine's clock. */
export function runningClock(): TestClock {
  let ahead = 0
  return {
    now: () => Date.now() + ahead,
    advance: seconds => {
      ahead += seconds * 1_000
    },
    set: milliseconds => {
      ahead = milliseconds - Date.now()
    },
  }
}

import { randomFillSync } from 'node:crypto'
import type { Clock } from './clock.ts'
import type { Random } from './context.ts'
import { ksuid } from './ksuid.ts'

/** The machine's clock. */
export const systemClock: Clock = { now: () => Date.now() }

/** The operating system's random numbers. */
export const systemRandom: Random = {
  bytes,
  id: (prefix, now) => `${prefix}_${ksuid(now, bytes(16))}`,
}

/** Random bytes are fetched in advance: a system call takes about the same time for 16 bytes as for all of these. */
const pool = Buffer.alloc(4_096)
let unused = 0

/** Takes bytes from the pool and wipes them there, so that they can never be read or used again. */
function bytes(count: number): Buffer {
  if (count > pool.length) return randomFillSync(Buffer.alloc(count))
  if (count > unused) {
    randomFillSync(pool)
    unused = pool.length
  }
  const inPool = pool.subarray(unused - count, unused)
  unused -= count
  const taken = Buffer.from(inPool)
  inPool.fill(0)
  return taken
}

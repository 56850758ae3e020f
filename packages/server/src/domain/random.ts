import { randomFillSync } from 'node:crypto'
import type { Clock } from './clock.ts'

export interface Random {
  bytes(count: number): Buffer
  /** Creates an id: `id('act', now)` → `act_2EL6mQKzeUtoRwGuLZsznyfkIsH`. Ids sort by time of creation. */
  id(prefix: string, now: number): string
}

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

/**
 * Returns the time of an id, Unix ms.
 * @returns undefined if the text is not an id with this prefix
 * @example timeOf('evt_37dGbm8U8xOEnUIa9Ae5c0rthj9', 'evt')
 */
export function timeOf(id: string, prefix: string): number | undefined {
  const [, text] = new RegExp(`^${prefix}_([0-9A-Za-z]{${LENGTH}})$`).exec(id) ?? []
  if (text === undefined) return undefined
  let value = 0n
  for (const digit of text) value = value * 62n + BigInt(DIGITS.indexOf(digit))
  const [seconds, ms] = [Number(value >> 128n), Number((value >> 118n) & 1_023n)]
  return (seconds + EPOCH_SECONDS) * 1_000 + ms
}

const EPOCH_SECONDS = 1_400_000_000
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const LENGTH = 27

/**
 * Creates a KSUID (20 bytes as 27 base62 digits: seconds since 2014 in 4 bytes, then random bytes), with the
 * milliseconds in the first 10 of its 128 random bits. So ids sort by the millisecond of their creation, and lists need
 * no other order.
 * @param now Unix ms
 * @param random 16 random bytes
 */
export function ksuid(now: number, random: Buffer): string {
  const words = [
    (Math.floor(now / 1_000) - EPOCH_SECONDS) >>> 0,
    (((now % 1_000) << 22) | (random.readUInt32BE(0) >>> 10)) >>> 0,
    random.readUInt32BE(4),
    random.readUInt32BE(8),
    random.readUInt32BE(12),
  ]
  let text = ''
  for (let digit = 0; digit < LENGTH; digit++) {
    let remainder = 0
    for (let i = 0; i < words.length; i++) {
      const value = remainder * 2 ** 32 + (words[i] as number)
      words[i] = Math.floor(value / 62)
      remainder = value % 62
    }
    text = DIGITS[remainder] + text
  }
  return text
}

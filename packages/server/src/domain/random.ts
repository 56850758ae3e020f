import { randomBytes, randomFillSync } from 'node:crypto'
import type { Clock, Random } from './context.ts'

/** The machine's clock. */
export const systemClock: Clock = { now: () => Date.now() }

/** The operating system's random numbers. */
export const systemRandom: Random = {
  bytes: count => randomBytes(count),
  id: (prefix, now) => `${prefix}_${ksuid(now, randomFillSync(Buffer.allocUnsafe(16)))}`,
}

const EPOCH_SECONDS = 1_400_000_000
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const LENGTH = 27

/**
 * A KSUID: seconds since 2014 in 4 bytes, then 16 random bytes, as 27 base62 digits. Sorts by second of creation.
 * @param now Unix ms
 */
export function ksuid(now: number, random: Buffer): string {
  const words = [
    (Math.floor(now / 1_000) - EPOCH_SECONDS) >>> 0,
    random.readUInt32BE(0),
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

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

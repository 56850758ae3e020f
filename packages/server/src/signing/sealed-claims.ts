import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'

/** Maximum length of a token, in characters. Every token made here is shorter. */
const MAX_LENGTH = 4_096

/**
 * Tokens that only this server reads: tickets and client cookies. They have the form of JWTs, signed with HMAC-SHA-256.
 * Each kind has its own key and `typ`. Reading compares header and signature with exactly the text that this server
 * would have written, so there is no algorithm to choose, and each token has only one valid encoding.
 */
export class SealedClaims<T extends object> {
  readonly #key: KeyObject
  readonly #header: string
  readonly #check: (claims: Partial<T>) => boolean

  /** @param check whether parsed claims have the right shape */
  constructor(typ: string, key: Buffer, check: (claims: Partial<T>) => boolean) {
    // Created once. From bytes, Node would create a key object for every MAC, which takes seven times as long as the
    // MAC.
    this.#key = createSecretKey(key)
    this.#header = Buffer.from(JSON.stringify({ alg: 'HS256', typ })).toString('base64url')
    this.#check = check
  }

  sign(claims: T): string {
    const signed = `${this.#header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`
    return `${signed}.${this.#mac(signed)}`
  }

  /** Returns the claims; undefined if the text is not a token of this kind signed with this key. */
  read(text: string): T | undefined {
    if (text.length > MAX_LENGTH) return undefined
    const [header, payload, mac, ...more] = text.split('.')
    if (header !== this.#header || payload === undefined || mac === undefined || more.length > 0) return undefined
    const expected = Buffer.from(this.#mac(`${header}.${payload}`))
    const given = Buffer.from(mac)
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Partial<T> | null
    return claims !== null && this.#check(claims) ? (claims as T) : undefined
  }

  #mac(signed: string): string {
    return createHmac('sha256', this.#key).update(signed).digest('base64url')
  }
}

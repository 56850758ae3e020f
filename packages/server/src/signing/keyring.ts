/** `signing/` holds the keys of an instance, and signs and reads its tokens, tickets and cookies. */

import {
  createHmac,
  createPrivateKey,
  createSecretKey,
  generateKeyPair,
  type KeyObject,
  type KeyPairKeyObjectResult,
  sign,
  timingSafeEqual,
} from 'node:crypto'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import type { ClientClaims, HandshakeClaims, MakeKey, Signing, TicketClaims } from '../domain/context.ts'
import type { Random } from '../domain/random.ts'
import type { SigningAlg, SigningKeyRecord } from '../domain/records.ts'
import { type Store, StoreUnavailable } from '../domain/store.ts'
import type { MasterKey } from './master-key.ts'

/**
 * Clerk's token categories: `cat` in the header. A handshake has none, so that it is never mistaken for a session
 * token.
 */
const CATEGORIES = { session: 'cl_B7d4PD111AAA', template: 'cl_B7d4PD222AAA', handshake: undefined }

/** Wraps the signing of each token, for metrics and tracing. */
export type InstrumentSigning = (
  kind: keyof typeof CATEGORIES,
  alg: SigningAlg,
  sign: () => Promise<string> | string,
) => Promise<string> | string

interface ActiveKey {
  kid: string
  headers: Record<keyof typeof CATEGORIES, string>
  sign(data: string): Promise<string> | string
}

interface LoadedKeys {
  version: number
  active: ActiveKey
  jwks: Awaited<ReturnType<Signing['jwks']>>
}

/**
 * All keys of the instance. The asymmetric keys are read from the store and kept until they change: every mint reads
 * the keyring's version along with the session, so a removed key signs nothing more.
 */
export class Keyring implements Signing {
  readonly #store: Pick<Store, 'signingKeys'>
  readonly #masterKey: MasterKey
  readonly #alg: SigningAlg
  readonly #instrument: InstrumentSigning
  readonly #tickets: SealedClaims<TicketClaims>
  readonly #clients: SealedClaims<ClientClaims>
  readonly #handshakes: SealedClaims<HandshakeClaims>
  #loaded: LoadedKeys | undefined
  #loading: Promise<LoadedKeys> | undefined

  constructor(
    store: Pick<Store, 'signingKeys'>,
    masterKey: MasterKey,
    alg: SigningAlg,
    instrument: InstrumentSigning = (_kind, _alg, sign) => sign(),
  ) {
    this.#store = store
    this.#masterKey = masterKey
    this.#alg = alg
    this.#instrument = instrument
    this.#tickets = new SealedClaims('ticket+jwt', masterKey.derive('ticket'), isTicketClaims)
    this.#clients = new SealedClaims('client+jwt', masterKey.derive('client'), isClientClaims)
    this.#handshakes = new SealedClaims('handshake+jwt', masterKey.derive('handshake'), isHandshakeClaims)
  }

  ticket(claims: TicketClaims): string {
    return this.#tickets.sign(claims)
  }

  readTicket(text: string): TicketClaims | undefined {
    return this.#tickets.read(text)
  }

  clientToken(claims: ClientClaims): string {
    return this.#clients.sign(claims)
  }

  readClientToken(text: string): ClientClaims | undefined {
    return this.#clients.read(text)
  }

  sessionToken(claims: string, version: number): Promise<{ jwt: string; kid: string }> {
    return this.#token('session', claims, version)
  }

  templateToken(claims: string, version: number): Promise<{ jwt: string; kid: string }> {
    return this.#token('template', claims, version)
  }

  async #token(kind: keyof typeof CATEGORIES, claims: string, version?: number): Promise<{ jwt: string; kid: string }> {
    const { active } = this.#loaded && this.#loaded.version === version ? this.#loaded : await this.#load()
    const signed = `${active.headers[kind]}.${Buffer.from(claims).toString('base64url')}`
    const signature = await this.#instrument(kind, this.#alg, () => active.sign(signed))
    return { jwt: `${signed}.${signature}`, kid: active.kid }
  }

  handshakeNonce(claims: HandshakeClaims): string {
    return this.#handshakes.sign(claims)
  }

  readHandshakeNonce(text: string): HandshakeClaims | undefined {
    return this.#handshakes.read(text)
  }

  async handshakeToken(claims: string): Promise<string> {
    return (await this.#token('handshake', claims)).jwt
  }

  waiting(): { length: number; oldest: number } {
    return pool.waiting()
  }

  /**
   * Returns the current key set. While the store is unavailable it returns the last known one, so that verifiers keep
   * working; nothing is signed during that time.
   */
  async jwks(): Promise<LoadedKeys['jwks']> {
    try {
      return (await this.#load()).jwks
    } catch (error) {
      if (error instanceof StoreUnavailable && this.#loaded) return this.#loaded.jwks
      throw error
    }
  }

  /** Reads the keys. Concurrent calls share one read. */
  #load(): Promise<LoadedKeys> {
    this.#loading ??= this.#read().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  async #read(): Promise<LoadedKeys> {
    const { version, keys } = await this.#store.signingKeys.keyring()
    if (this.#loaded?.version === version) return this.#loaded
    const record = keys.find(key => key.status === 'active' && key.alg === this.#alg)
    if (!record) throw new Error(`there is no active ${this.#alg} signing key`)
    const published = keys.filter(key => key.status !== 'removed')
    this.#loaded = {
      version,
      active: activeKey(record, this.#masterKey),
      jwks: { keys: published.map(key => JSON.parse(key.public_jwk)) },
    }
    return this.#loaded
  }
}

function activeKey(record: SigningKeyRecord, masterKey: MasterKey): ActiveKey {
  const header = (cat: string | undefined) =>
    Buffer.from(JSON.stringify({ alg: record.alg, cat, kid: record.id, typ: 'JWT' })).toString('base64url')
  return {
    kid: record.id,
    headers: {
      session: header(CATEGORIES.session),
      template: header(CATEGORIES.template),
      handshake: header(CATEGORIES.handshake),
    },
    sign: signers[record.alg](openPrivateKey(record, masterKey)),
  }
}

/** Decrypts a private key. @throws Error that tells what to do if the key was sealed with another master key */
export function openPrivateKey(record: SigningKeyRecord, masterKey: MasterKey): KeyObject {
  try {
    const der = masterKey.open(record.sealed_private_key ?? '', record.id)
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } catch (cause) {
    throw new Error(
      `Signing key ${record.id} cannot be opened: STAGEDOOR_MASTER_KEY is not the key that this database was created with. Set the original master key; without it this instance cannot be used.`,
      { cause },
    )
  }
}

/** Maximum signatures that run at the same time. Node's thread pool has four threads by default. */
const MAX_RUNNING = Math.min(availableParallelism() + 1, 4)
/** Maximum finished signatures per batch, while others are still waiting. */
const MAX_BATCH = 8

interface Job {
  data: Buffer
  key: KeyObject
  since: number
  done: (error: Error | null, signature: Buffer) => void
}

/**
 * Runs slow signatures on the thread pool. At most one more than the number of cores runs at a time: more would only
 * take processor time from the event loop. The others wait in a queue here, where their number can be measured.
 */
class SigningPool {
  readonly #waiting: Job[] = []
  #running = 0
  #finished: (() => void)[] = []

  /** Signs with SHA-256 and RSA. */
  sign(data: string, key: KeyObject): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        data: Buffer.from(data),
        key,
        since: performance.now(),
        done: (error, signature) => {
          this.#running -= 1
          this.#next()
          this.#finished.push(() => (error ? reject(error) : resolve(signature)))
          if (this.#waiting.length === 0 || this.#finished.length === MAX_BATCH) this.#settle()
        },
      })
      this.#next()
    })
  }

  /** Returns how many signatures wait, and for how long the oldest has waited, in ms. */
  waiting(): { length: number; oldest: number } {
    const [first] = this.#waiting
    return { length: this.#waiting.length, oldest: first ? performance.now() - first.since : 0 }
  }

  /**
   * Resolves finished signatures in one go: handling their callers together takes less processor time than one by one.
   */
  #settle(): void {
    const finished = this.#finished
    this.#finished = []
    for (const done of finished) done()
  }

  #next(): void {
    if (this.#running >= MAX_RUNNING) return
    const job = this.#waiting.shift()
    if (!job) return
    this.#running += 1
    sign('sha256', job.data, job.key, job.done)
  }
}

/** One pool for all keyrings: the process has one thread pool. */
const pool = new SigningPool()

/** RSA is slow, so it runs on the thread pool. The curves take less time than handing work to a thread. */
const signers: Record<SigningAlg, (key: KeyObject) => ActiveKey['sign']> = {
  RS256: key => async data => (await pool.sign(data, key)).toString('base64url'),
  // OpenSSL returns ECDSA signatures as DER. Converting to JOSE's format here is twice as fast as Node's own
  // conversion.
  ES256: key => data => joseSignature(sign('sha256', Buffer.from(data), key)).toString('base64url'),
  EdDSA: key => data => sign(null, Buffer.from(data), key).toString('base64url'),
}

/** Converts an ECDSA signature from DER (two INTEGERs) to two 32-byte numbers (RFC 7518 §3.4). */
export function joseSignature(der: Buffer): Buffer {
  const out = Buffer.alloc(64)
  let at = 2
  for (const end of [32, 64]) {
    const length = der[at + 1] as number
    const integer = der.subarray(at + 2, at + 2 + length)
    const number = integer.length > 32 ? integer.subarray(integer.length - 32) : integer
    number.copy(out, end - number.length)
    at += 2 + length
  }
  return out
}

const pair = promisify(generateKeyPair)

/** Generates a key pair. RSA has 2048 bits and e = 65537, the only ones that Clerk's `jwtKey` option can read. */
async function makePair(alg: SigningAlg): Promise<KeyPairKeyObjectResult> {
  switch (alg) {
    case 'RS256':
      return pair('rsa', { modulusLength: 2048, publicExponent: 65_537 })
    case 'ES256':
      return pair('ec', { namedCurve: 'P-256' })
    case 'EdDSA':
      return pair('ed25519', {})
  }
}

/**
 * Returns a function that creates signing keys. Each private key is sealed with the master key under the key's own id.
 */
export function keyMaker(masterKey: MasterKey, random: Random): MakeKey {
  return async (alg, status, now) => {
    const id = random.id('kid', now)
    const { publicKey, privateKey } = await makePair(alg)
    const jwk = publicKey.export({ format: 'jwk' })
    return {
      id,
      alg,
      status,
      public_jwk: JSON.stringify({ use: 'sig', kty: jwk.kty, kid: id, alg, ...publicMembers(jwk) }),
      sealed_private_key: masterKey.seal(privateKey.export({ format: 'der', type: 'pkcs8' }), id),
      signs_until: 0,
      created_at: now,
      retired_at: null,
    }
  }
}

/** Copies the public members by name, so that a private one can never be included. */
function publicMembers({ n, e, crv, x, y }: { n?: string; e?: string; crv?: string; x?: string; y?: string }) {
  return Object.fromEntries(Object.entries({ n, e, crv, x, y }).filter(([, value]) => value !== undefined))
}

function isTicketClaims(claims: Partial<TicketClaims>): boolean {
  return typeof claims.sid === 'string' && typeof claims.iid === 'string' && typeof claims.st === 'string'
}

function isClientClaims(claims: Partial<ClientClaims>): boolean {
  return typeof claims.id === 'string' && typeof claims.iid === 'string' && typeof claims.rotating_token === 'string'
}

function isHandshakeClaims(claims: Partial<HandshakeClaims>): boolean {
  return typeof claims.iid === 'string' && typeof claims.exp === 'number' && typeof claims.azp === 'string'
}

/** Maximum length of a token, in characters. Every token made here is shorter. */
const MAX_SEALED_LENGTH = 4_096

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
    if (text.length > MAX_SEALED_LENGTH) return undefined
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

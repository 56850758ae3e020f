import { type CryptoKey, createLocalJWKSet, errors, importSPKI } from 'jose'
import { andThen, type MaybePromise } from '../maybe-promise.ts'
import type { JsonWebKeySet } from '../models/schemas.ts'
import { cachedKey, type RemoteJwks } from './remote-jwks.ts'
import { TokenError } from './token-error.ts'

/** Accepted algorithms of session tokens: no symmetric ones, and never `none` (RFC 8725 §3.1, §3.2). */
const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'] as const
export type Algorithm = (typeof ALGORITHMS)[number]

export interface KeyName {
  alg: Algorithm
  kid: string | undefined
}

/** Finds the key that a token names, for the algorithm that it names. Returns a promise only if it is not cached. @throws TokenError */
export type FindKey = (name: KeyName) => MaybePromise<CryptoKey>

/** Source of the keys: a key set, a server, or one key as PEM. */
export type KeyOptions =
  | { jwks: JsonWebKeySet | RemoteJwks; publicKey?: undefined }
  | { publicKey: string; jwks?: undefined }

export function keyFinder({ jwks, publicKey }: KeyOptions): FindKey {
  if ((jwks === undefined) === (publicKey === undefined)) {
    throw new TypeError('Give the keys once: `jwks` (a key set, or remoteJwks(serverURL)) or `publicKey` (PEM).')
  }
  if (jwks === undefined) return inPem(publicKey as string)
  return typeof jwks === 'function' ? inSet(jwks) : inLocalSet(jwks)
}

interface ImportedPem {
  alg: Algorithm
  key: CryptoKey
}

/** Importing a key takes longer than verifying a signature, so each key set and each PEM is imported once. */
const localSets = new WeakMap<JsonWebKeySet, FindKey>()
const pems = new Map<string, Promise<ImportedPem>>()
const MAX_PEMS = 32

function inLocalSet(jwks: JsonWebKeySet): FindKey {
  const known = localSets.get(jwks)
  if (known) return known
  let find: FindKey
  try {
    // This copies the key set, so that later changes to the object have no effect.
    find = remembering(inSet(createLocalJWKSet(jwks as unknown as Parameters<typeof createLocalJWKSet>[0])))
  } catch (cause) {
    throw new TypeError('`jwks` is not a key set: it should look like { "keys": [ … ] }.', { cause })
  }
  localSets.set(jwks, find)
  return find
}

/** Caches found keys: finding one again costs half as much as verifying a signature. Unknown keys are not cached, so tokens cannot fill the cache. */
function remembering(find: FindKey): FindKey {
  const found = new Map<string, CryptoKey>()
  return name => {
    const label = `${name.alg} ${name.kid}`
    return (
      found.get(label) ??
      andThen(find(name), key => {
        found.set(label, key)
        return key
      })
    )
  }
}

function inSet(set: RemoteJwks | ReturnType<typeof createLocalJWKSet>): FindKey {
  const find = async ({ alg, kid }: KeyName) => {
    if (kid === undefined) throw new TokenError('key-unknown')
    let key: CryptoKey
    try {
      // jose matches kid, alg, kty, crv, use and key_ops, so a key is used for one algorithm only.
      key = await set({ alg, kid })
    } catch (cause) {
      const unknown = cause instanceof errors.JWKSNoMatchingKey || cause instanceof errors.JWKSMultipleMatchingKeys
      throw new TokenError(unknown ? 'key-unknown' : 'keys-unavailable', cause)
    }
    return strong(key)
  }
  return name => {
    const key = cachedKey(set, name)
    return key ? strong(key) : find(name)
  }
}

function inPem(pem: string): FindKey {
  if (typeof pem !== 'string' || !pem.trim().startsWith('-----BEGIN PUBLIC KEY-----')) {
    throw new TypeError('`publicKey` is not a public key as PEM: it should begin with -----BEGIN PUBLIC KEY-----.')
  }
  let importing = pems.get(pem)
  if (!importing) {
    importing = importPem(pem.trim())
    if (pems.size >= MAX_PEMS) pems.clear()
    pems.set(pem, importing)
  }
  let imported: MaybePromise<ImportedPem> = importing
  importing.then(
    done => {
      imported = done
    },
    () => pems.delete(pem),
  )
  return name =>
    andThen(imported, ({ alg, key }) => {
      if (alg !== name.alg) throw new TokenError('token-wrong-algorithm')
      return strong(key)
    })
}

/** Imports a PEM. It does not name its algorithm, but here each type of key has only one. */
async function importPem(pem: string): Promise<ImportedPem> {
  let problem: unknown
  for (const alg of ALGORITHMS) {
    try {
      return { alg, key: await importSPKI(pem, alg) }
    } catch (cause) {
      problem = cause
    }
  }
  throw new TokenError('keys-unavailable', problem)
}

function strong(key: CryptoKey): CryptoKey {
  const { modulusLength = 2_048 } = key.algorithm as { modulusLength?: number }
  if (modulusLength < 2_048)
    throw new TokenError('keys-unavailable', new Error('The RSA key is shorter than 2048 bits.'))
  return key
}

/** Returns the key that a header names. @throws TokenError token-wrong-algorithm, token-malformed */
export function keyNameOf({ alg, kid }: Record<string, unknown>): KeyName {
  const accepted = ALGORITHMS.find(each => each === alg)
  if (accepted === undefined) throw new TokenError('token-wrong-algorithm')
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > 128)) throw new TokenError('token-malformed')
  return { alg: accepted, kid }
}

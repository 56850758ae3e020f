import type { KeyObject } from 'node:crypto'
import type { CryptoKey } from 'jose'
import type { MaybePromise } from '../maybe-promise.ts'
import type { Algorithm } from './keys.ts'

/** Verifies a signature. ECDSA and EdDSA signatures are 64 bytes, never DER (RFC 7518 §3.4, RFC 8037). */
export function signatureMatches(
  alg: Algorithm,
  key: CryptoKey,
  signature: Uint8Array<ArrayBuffer>,
  signed: Uint8Array<ArrayBuffer>,
): MaybePromise<boolean> {
  if (alg !== 'RS256' && signature.length !== 64) return false
  const nodeKey = nodeKeyOf(key)
  if (nodeCrypto && nodeKey) {
    const verifier = alg === 'ES256' ? ({ key: nodeKey, dsaEncoding: 'ieee-p1363' } as const) : nodeKey
    return nodeCrypto.verify(alg === 'EdDSA' ? null : 'sha256', signed, verifier, signature)
  }
  return crypto.subtle.verify(webAlgorithms[alg], key, signature, signed)
}

const webAlgorithms = {
  RS256: { name: 'RSASSA-PKCS1-v1_5' },
  ES256: { name: 'ECDSA', hash: 'SHA-256' },
  EdDSA: { name: 'Ed25519' },
} as const

/** Node's crypto, which is several times as fast as Web Crypto with its thread pool. Loaded like this, bundlers for the edge do not see an import. */
const nodeCrypto = (globalThis as { process?: Partial<NodeJS.Process> }).process?.getBuiltinModule?.('node:crypto')

const nodeKeys = new WeakMap<CryptoKey, KeyObject>()

function nodeKeyOf(key: CryptoKey): KeyObject | undefined {
  if (!nodeCrypto) return undefined
  const known = nodeKeys.get(key)
  if (known) return known
  const converted = nodeCrypto.KeyObject.from(key as Parameters<typeof nodeCrypto.KeyObject.from>[0])
  nodeKeys.set(key, converted)
  return converted
}

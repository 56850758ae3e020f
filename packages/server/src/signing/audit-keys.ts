import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import type { AuditKeys } from '../domain/audit/checkpoints.ts'
import type { MasterKey } from './master-key.ts'

/** Bytes of DER before the 32 bytes of an Ed25519 public key (RFC 8410). */
const DER_HEADER = 12

/**
 * Creates and opens the keys that sign checkpoints of the audit log. They sign nothing else. Ed25519 is deterministic, so
 * all nodes make the same signature.
 */
export function auditKeys(masterKey: MasterKey): AuditKeys {
  return {
    make(id, name, created_at) {
      const { publicKey, privateKey } = generateKeyPairSync('ed25519')
      return {
        id,
        name,
        public_key: publicKey.export({ format: 'der', type: 'spki' }).subarray(DER_HEADER).toString('base64'),
        sealed_private_key: masterKey.seal(privateKey.export({ format: 'der', type: 'pkcs8' }), nameOf(id)),
        created_at,
        retired_at: null,
      }
    },

    open({ id, sealed_private_key }) {
      if (sealed_private_key === null) throw new Error(`the private part of the key ${id} was deleted`)
      return createPrivateKey({ key: masterKey.open(sealed_private_key, nameOf(id)), format: 'der', type: 'pkcs8' })
    },
  }
}

const nameOf = (id: string) => `audit key ${id}`

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/**
 * The one secret of an instance. Every other secret is derived from it or sealed with it, each for one purpose only
 * (HKDF, RFC 5869), so no key ever has two uses.
 */
export class MasterKey {
  readonly #key: Buffer

  /** @param key at least 32 random bytes */
  constructor(key: Buffer) {
    this.#key = key
  }

  /** Derives a 32-byte key for one purpose. */
  derive(purpose: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#key, 'stagedoor', purpose, 32))
  }

  /** Encrypts (AES-256-GCM). `open` needs the same `name`. */
  seal(plain: Buffer, name: string): string {
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', this.derive('seal'), nonce).setAAD(Buffer.from(name))
    return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString('base64url')
  }

  /** Decrypts what `seal` returned. @throws if it was sealed with another key or name, or was changed */
  open(sealed: string, name: string): Buffer {
    const bytes = Buffer.from(sealed, 'base64url')
    const decipher = createDecipheriv('aes-256-gcm', this.derive('seal'), bytes.subarray(0, 12), { authTagLength: 16 })
    decipher.setAAD(Buffer.from(name)).setAuthTag(bytes.subarray(-16))
    return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()])
  }

  toJSON(): string {
    return '[master key]'
  }
}

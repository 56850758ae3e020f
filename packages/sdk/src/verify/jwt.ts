import { base64url } from 'jose'
import { TokenError } from './token-error.ts'

/** The parts of a JWT. None of them is verified yet. */
export interface Jwt {
  /** The encoded header: {@link jsonOf} decodes it. */
  header: string
  claims: Record<string, unknown>
  /** The signed bytes. */
  signed: Uint8Array<ArrayBuffer>
  signature: Uint8Array<ArrayBuffer>
}

/** Maximum length of a token. Session tokens are a few hundred bytes, or one to two kilobytes with a large actor. */
export const MAX_TOKEN_LENGTH = 8_192

/** Splits and decodes a compact JWT (RFC 7519 §7.2). @throws TokenError token-malformed */
export function decodeJwt(token: string): Jwt {
  if (typeof token !== 'string' || token.length > MAX_TOKEN_LENGTH) throw new TokenError('token-malformed')
  const parts = token.split('.', 4)
  const [header, claims, signature] = parts
  if (parts.length !== 3 || !header || !claims || !signature) throw new TokenError('token-malformed')
  return {
    header,
    claims: jsonOf(claims),
    signed: utf8.encode(`${header}.${claims}`),
    signature: bytes(signature),
  }
}

const utf8 = new TextEncoder()
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Decodes a part of a token into a JSON object. @throws TokenError token-malformed */
export function jsonOf(part: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(strictUtf8.decode(bytes(part)))
  } catch (cause) {
    throw new TokenError('token-malformed', cause)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TokenError('token-malformed')
  return value as Record<string, unknown>
}

/** Decodes base64url. Refuses text that does not encode to the same text again (padding, spaces, unused bits). */
function bytes(part: string): Uint8Array<ArrayBuffer> {
  if (nodeBuffer) {
    const decoded = nodeBuffer.from(part, 'base64url')
    if (decoded.toString('base64url') === part) return decoded
  } else {
    try {
      const decoded = new Uint8Array(base64url.decode(part))
      if (base64url.encode(decoded) === part) return decoded
    } catch (cause) {
      throw new TokenError('token-malformed', cause)
    }
  }
  throw new TokenError('token-malformed')
}

/** Node's Buffer, which is several times as fast as the portable code. */
const nodeBuffer = (globalThis as { Buffer?: typeof Buffer }).Buffer

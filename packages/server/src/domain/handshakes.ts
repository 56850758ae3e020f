import { hash } from 'node:crypto'
import { ApiError } from '../contract/errors.ts'
import { withSessions } from './clients.ts'
import type { Context, HandshakeClaims } from './context.ts'
import type { ClientRecord } from './records.ts'
import { mintIfUsable } from './sessions.ts'

/**
 * Clerk's handshake. If a page's session cookie is missing or old, the app's server sends the browser here, and it
 * returns with fresh cookies for the app's own domain. The cookies are sent as a nonce, which only the app's server can
 * exchange for them with its secret key; or, for SDKs without nonces, as a signed token that contains the cookies.
 */

/** Time for the browser to return to the app, in ms. */
const NONCE_LIFETIME = 60_000
/**
 * Maximum length of a session token that is sent under two names. nginx accepts 4 kB of response headers, including the
 * app's own.
 */
const TWICE_AT_MOST = 1_200
const YEAR_SECONDS = 31_536_000

export interface StartHandshake {
  client: ClientRecord | undefined
  /** The page the browser came from and goes back to. */
  redirect: URL
  /** The kind of the app's publishable key, which decides the names of its cookies. */
  key: 'test' | 'live'
  /** Identifies the browser in development, if it has such an id. */
  dev_browser: string | undefined
}

/** Returns the facts of a handshake. Its cookies are created from them when they are requested. */
export async function startHandshake(ctx: Context, input: StartHandshake): Promise<HandshakeClaims> {
  const { client, redirect, key, dev_browser } = input
  const now = ctx.clock.now()
  const selected = client && (await withSessions(ctx, client)).record.last_active_session_id
  return {
    iid: ctx.settings.instance_id,
    exp: now + NONCE_LIFETIME,
    sid: selected ?? null,
    uat: selected ? Math.floor((client?.updated_at ?? now) / 1_000) : 0,
    azp: redirect.origin,
    key,
    dvb: key === 'test' ? (dev_browser ?? ctx.random.id('dvb', now)) : null,
  }
}

/** Returns the facts of a nonce. @throws ApiError invalid_handshake */
export function readHandshake(ctx: Context, nonce: string): HandshakeClaims {
  const claims = ctx.signing.readHandshakeNonce(nonce)
  if (!claims || claims.iid !== ctx.settings.instance_id || claims.exp <= ctx.clock.now())
    throw new ApiError('invalid_handshake')
  return claims
}

/**
 * Returns the cookies that bring the app up to date, as Set-Cookie values. Each has its plain name, and a name with a
 * suffix from the publishable key, so that apps of several instances on one host do not overwrite each other's cookies.
 */
export async function handshakeDirectives(ctx: Context, claims: HandshakeClaims): Promise<string[]> {
  const jwt = claims.sid === null ? undefined : await mintIfUsable(ctx, { id: claims.sid, origin: claims.azp })
  const secure = claims.azp.startsWith('https:') ? '; Secure' : ''
  const cookie = (name: string, value: string, maxAge: number) =>
    `${name}=${value}; Path=/; SameSite=Lax; Max-Age=${maxAge}${secure}`
  const [key, padded] = publishableKeys(ctx.settings.public_url, claims.key)
  // The plain name last: SDKs read it if the other is missing, and use the last value in a response.
  const suffixes = [`_${cookieSuffix(key)}`, '']
  // Sign-out must clear the cookies for both forms of the key. A token is too long to be sent under three names.
  if (!jwt && padded !== key) suffixes.unshift(`_${cookieSuffix(padded)}`)
  const session = (suffix: string) =>
    jwt && (suffix === '' || jwt.length <= TWICE_AT_MOST)
      ? cookie(`__session${suffix}`, jwt, YEAR_SECONDS)
      : cookie(`__session${suffix}`, '', 0)
  return [
    ...suffixes.flatMap(suffix => [
      session(suffix),
      cookie(`__client_uat${suffix}`, String(jwt ? claims.uat : 0), YEAR_SECONDS),
      ...(claims.dvb === null ? [] : [cookie(`__clerk_db_jwt${suffix}`, claims.dvb, YEAR_SECONDS)]),
    ]),
    cookie(NONCE_COOKIE, '', 0),
  ]
}

/**
 * Returns a signed token with the cookies, for SDKs that do not support nonces. It is valid as long as a nonce, for the
 * app's origin only.
 */
export async function handshakeToken(ctx: Context, claims: HandshakeClaims): Promise<string> {
  const iat = Math.floor(ctx.clock.now() / 1_000)
  const exp = Math.floor(claims.exp / 1_000)
  const handshake = await handshakeDirectives(ctx, claims)
  return ctx.signing.handshakeToken(
    JSON.stringify({ aud: claims.azp, exp, handshake, iat, iss: ctx.settings.public_url }),
  )
}

/** Cookie with the nonce if the app and this server share a host, so that the nonce stays out of the address bar. */
export const NONCE_COOKIE = '__clerk_handshake_nonce'

/** Returns the publishable keys of this server: as Clerk writes them, and with Base64 padding. */
export function publishableKeys(publicURL: string, kind: 'test' | 'live'): [key: string, padded: string] {
  const padded = Buffer.from(`${new URL(publicURL).host}$`).toString('base64')
  return [`pk_${kind}_${padded.replace(/={1,2}$/, '')}`, `pk_${kind}_${padded}`]
}

function cookieSuffix(publishableKey: string): string {
  return hash('sha1', publishableKey, 'base64url').slice(0, 8)
}

import type { Context, OperatorCaller } from '../../domain/context.ts'
import {
  authenticateOperator,
  SESSION_LIFETIME,
  SIGN_IN_LIFETIME,
  type SignedIn,
} from '../../domain/operator-sessions.ts'
import { SESSION_COOKIE, sessionSecret } from '../auth/operator.ts'
import type { HeaderReader } from '../caller.ts'
import { cookiesNamed, hostCookie } from './cookies.ts'

/** The cookies of a sign-in and of the session that it starts. */

/** Cookie of a sign-in that has begun. `Lax`: the identity provider, another site, sends the browser back. */
const SIGN_IN_COOKIE = '__Host-stagedoor_sign_in'

/** Returns the secret of the sign-in that this browser began. */
export const signInSecret = (header: HeaderReader): string | undefined => {
  const [secret, ...others] = cookiesNamed(header, SIGN_IN_COOKIE)
  return others.length === 0 ? secret : undefined
}

export const keepSignIn = (secret: string): string =>
  hostCookie(SIGN_IN_COOKIE, secret, 'Lax', SIGN_IN_LIFETIME / 1_000)
export const forgetSignIn = (): string => hostCookie(SIGN_IN_COOKIE, '', 'Lax', 0)

export const keepSession = ({ secret }: SignedIn): string =>
  hostCookie(SESSION_COOKIE, secret, 'Strict', SESSION_LIFETIME / 1_000)
export const forgetSession = (): string => hostCookie(SESSION_COOKIE, '', 'Strict', 0)

/** Returns the operator whose session this browser has, if it has one. Leaves the caller as it is. */
export async function currentOperator(ctx: Context, header: HeaderReader): Promise<OperatorCaller | undefined> {
  const secret = sessionSecret(header)
  if (secret === undefined) return undefined
  return authenticateOperator({ ...ctx, caller: { ...ctx.caller } }, secret, false).catch(() => undefined)
}

/**
 * Returns where the browser goes after a sign-in: a path of the console's pages, whatever a link asked for.
 * @example pathOf('//evil.example', 'https://auth.example.com') // '/console'
 */
export function pathOf(returnTo: string | undefined, origin: string): string {
  const url = returnTo?.startsWith('/console') ? URL.parse(returnTo, origin) : null
  if (url?.origin !== origin || !/^\/console(\/[\w./-]*)?$/.test(url.pathname)) return '/console'
  return /^\/console\/(api|login|logout|callback|join|passkey|assets)(\/|$)/.test(url.pathname)
    ? '/console'
    : url.pathname + url.search
}

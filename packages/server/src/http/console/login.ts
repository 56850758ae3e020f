import * as contract from '../../contract/console.ts'
import { ApiError } from '../../contract/errors.ts'
import {
  beginSignIn,
  endOperatorSession,
  join,
  signInWithProvider,
  stepUpInDevelopment,
  takeSignIn,
} from '../../domain/operator-sessions.ts'
import { type Http, mount } from '../mount.ts'
import type { IdentityProvider } from './provider.ts'
import {
  currentOperator,
  forgetSession,
  forgetSignIn,
  keepSession,
  keepSignIn,
  pathOf,
  signInSecret,
} from './session.ts'

/** How operators sign in with an identity provider or a one-time link, and sign out. */
export function mountLogin(http: Http, provider: IdentityProvider | undefined): void {
  mount(http, contract.startSignIn, async (ctx, { body, header, headers, cookies }) => {
    const step_up = body.step_up === '1'
    const session = await currentOperator(ctx, header)
    const return_to = pathOf(body.return_to, ctx.settings.console_url)
    if (step_up && session?.role_source === 'development') {
      cookies.push(keepSession(await stepUpInDevelopment(ctx, session)))
      headers.location = return_to
      return null
    }
    // Operators without an identity provider sign in on the page, with a passkey.
    if (!provider) throw new ApiError('resource_not_found', { params: { what: 'There is no identity provider here.' } })
    const secret = await beginSignIn(ctx, { kind: 'provider', return_to, session, step_up })
    const url = await provider.signInUrl(secret, { stepUp: step_up })
    return onwards(url, { ...headers, 'set-cookie': keepSignIn(secret) })
  })

  mount(http, contract.finishSignIn, async (ctx, { url, header, headers, cookies }) => {
    ctx.caller.principal = { type: 'operator', id: null }
    const secret = signInSecret(header)
    cookies.push(forgetSignIn())
    const signIn = await takeSignIn(ctx, secret, 'provider')
    // Checked by `takeSignIn`; the compiler does not know.
    if (!provider || secret === undefined) throw new ApiError('operator_sign_in_invalid')
    const stepUp = signIn.is_step_up === 1
    const identity = await provider.identity(new URL(url).search, secret, { stepUp }).catch(error => {
      const { trace_id } = ctx.caller
      // Only the texts: the errors of the library contain the answers of the provider.
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : undefined
      http.log.warn({ trace_id, cause }, 'a sign-in at the identity provider failed')
      throw error
    })
    cookies.push(keepSession(await signInWithProvider(ctx, identity, signIn)))
    headers.location = signIn.return_to
    return null
  })

  mount(http, contract.joinConsole, async (ctx, { body, header, cookies }) => {
    const done = await join(ctx, { token: body.token, session: await currentOperator(ctx, header) })
    const { id, name, email } = done.operator
    if ('session' in done) {
      cookies.push(keepSession(done))
      return {
        object: 'join' as const,
        next: 'console' as const,
        operator: { id, name, email, role: done.session.role },
      }
    }
    cookies.push(keepSignIn(done.joining))
    return { object: 'join' as const, next: 'passkey' as const, operator: { id, name, email, role: done.role } }
  })

  mount(http, contract.leaveConsole, async (ctx, { headers, cookies }) => {
    await endOperatorSession(ctx, { id: ctx.caller.operator?.session_id ?? '' })
    cookies.push(forgetSession())
    // Pages of the console that the browser kept are dropped (the back button).
    headers['clear-site-data'] = '"cache"'
    return { object: 'signed_out' as const }
  })
}

/**
 * Sends the browser to the identity provider. It is no redirect: the policy of the page (`form-action`) would apply to each
 * further one, and many providers continue at another origin that is not in their metadata.
 */
function onwards(url: URL, headers: Record<string, string>): Response {
  return new Response(null, { status: 200, headers: { ...headers, refresh: `0; url=${url.href}` } })
}

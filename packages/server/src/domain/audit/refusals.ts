import { ApiError, ApiErrors, type ErrorAbout } from '../../contract/errors.ts'
import type { Context } from '../context.ts'
import { statusAt } from '../sessions.ts'
import { auditEvent } from './event.ts'

/** Maximum number of refusals of one browser, or of one ticket shown by browsers, that become audit events. */
export const MAX_REFUSAL_EVENTS = 20
/** A browser with an active session may fill that number again after this time, in ms. */
const REFUSAL_WINDOW = 3_600_000

/**
 * Records why an operation was refused. If the operation would have changed state (it has an `action`), this writes an
 * audit event. (A successful operation writes its own event, in the transaction that changes the state.) Audit events
 * are never deleted, so a caller without a secret key and without a session in the console can cause only few of them: a
 * refusal becomes an event only if it is about a stored token or a stored client, and only up to `MAX_REFUSAL_EVENTS`. Every
 * other refusal is counted, as are failed authentications and requests over a rate limit.
 * @param error what the operation threw; an error that is no refusal is ignored
 */
export async function recordRefusal(ctx: Context, action: string | undefined, error: unknown): Promise<void> {
  const refusal = error instanceof ApiErrors ? error.errors[0] : error
  if (!(refusal instanceof ApiError) || refusal.status >= 500) return
  const tooMany = refusal.status === 429
  if (action !== undefined && !tooMany && (await appendEvent(ctx, action, refusal))) return
  if (action !== undefined || tooMany || refusal.status === 401)
    ctx.refusedRequests.count(ctx.clock.now(), ctx.caller.network, refusal.code)
}

/** @returns whether the refusal became an event */
async function appendEvent(ctx: Context, action: string, refusal: ApiError): Promise<boolean> {
  const { type, id } = ctx.caller.principal
  const about = refusal.options.about ?? {}
  const { details } = refusal.options
  const event = auditEvent(ctx, { action, outcome: 'refused', code: refusal.code, about, details })
  if (type !== 'client') {
    const known = (type !== 'secret_key' && type !== 'operator') || id !== null
    if (known) await ctx.store.audit.append(event)
    return known
  }
  const since = await refusalsSince(ctx, id, about)
  if (since === undefined) return false
  return ctx.store.audit.appendRefusal(event, { most: MAX_REFUSAL_EVENTS, since })
}

/**
 * Returns the time from which a browser's refusals count towards the maximum; undefined if they do not become events at
 * all.
 */
async function refusalsSince(ctx: Context, clientId: string | null, about: ErrorAbout): Promise<number | undefined> {
  const stored = clientId !== null && (await ctx.store.clients.find(clientId)) !== undefined
  if (!stored) return about.actor_token_id === undefined ? undefined : 0
  const now = ctx.clock.now()
  const sessions = await ctx.store.sessions.listOfClient(clientId)
  return sessions.some(session => statusAt(session, now) === 'active') ? now - REFUSAL_WINDOW : 0
}

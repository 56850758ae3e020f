import { ApiError, ApiErrors } from '../contract/errors.ts'
import { auditEvent } from './audit.ts'
import type { Context } from './context.ts'

/**
 * Does something; if it would have changed state (it has an `action`) and is refused, writes an audit event of that. (What
 * is done writes its own, in the transaction that does it.) A refusal that names nothing we know is only counted,
 * otherwise anyone could fill the disk; so is any failed authentication, and whatever is one request too many.
 */
export async function recordingRefusals<T>(
  ctx: Context,
  action: string | undefined,
  act: () => T | Promise<T>,
): Promise<T> {
  try {
    return await act()
  } catch (error) {
    const refusal = error instanceof ApiErrors ? error.errors[0] : error
    if (refusal instanceof ApiError && refusal.status < 500) await recordRefusal(ctx, action, refusal)
    throw error
  }
}

async function recordRefusal(ctx: Context, action: string | undefined, refusal: ApiError): Promise<void> {
  const about = refusal.options.about ?? {}
  const known = ctx.caller.principal.id !== null || ctx.caller.principal.type === 'command_line'
  const tooMany = refusal.status === 429
  if (action !== undefined && !tooMany && (known || Object.keys(about).length > 0)) {
    await ctx.store.audit.append(auditEvent(ctx, { action, outcome: 'refused', code: refusal.code, about }))
  } else if (action !== undefined || tooMany || refusal.status === 401) {
    ctx.refusedRequests.count(ctx.clock.now(), ctx.caller.address, refusal.code)
  }
}

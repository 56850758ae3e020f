import { hash } from 'node:crypto'
import { ApiError } from '../contract/errors.ts'
import { about, actingRequest, REPLAY_WINDOW_MS, readTicket, replayedRedemption, whyNot } from './actor-tokens.ts'
import { sameToken } from './clients.ts'
import type { ClientClaims, Context } from './context.ts'
import { actingRefused, browserAddress, decide } from './policy.ts'
import type { ActorTokenRecord, UserWithIdentifiers } from './records.ts'

/** What the accept page shows of a ticket, and its confirmation. The app then redeems the ticket: `acceptTicket`. */

/**
 * Returns the token and user of a ticket, if this browser can redeem it now, also by the policy, or did so a moment ago.
 * Changes nothing.
 * @throws ApiError as `acceptTicket`
 */
export async function previewTicket(
  ctx: Context,
  input: { ticket: string; presented: readonly ClientClaims[] },
): Promise<{ token: ActorTokenRecord; user: UserWithIdentifiers }> {
  const token = await readTicket(ctx, input.ticket)
  const now = ctx.clock.now()
  const user = await ctx.store.users.find(token.user_id)
  const refusal = await whyNot(ctx, token, now)
  const repeats = async () =>
    isRepeatedConfirmation(token, input.presented, now) ||
    (await replayedRedemption(ctx, token, input.presented, now)) !== undefined
  if (!user || (refusal && !(refusal.code === `${token.kind}_already_used_code` && (await repeats()))))
    throw refusal ?? new ApiError(`${token.kind}_subject_not_found`, { about: about(token) })
  if (!refusal) await assertAllowed(ctx, token)
  return { token, user }
}

/** @throws ApiError acting_refused, policy_unavailable */
async function assertAllowed(ctx: Context, token: ActorTokenRecord): Promise<void> {
  const request = actingRequest(token, browserAddress(ctx))
  const decided = request && (await decide(ctx, request))
  if (decided && !decided.decision.allowed) throw actingRefused(ctx, request, decided)
}

/**
 * Stores that this browser confirmed the ticket, which the app then redeems. A second click has the same result as the
 * first.
 * @throws ApiError as `previewTicket`
 */
export async function confirmTicket(
  ctx: Context,
  input: { ticket: string; presented: readonly ClientClaims[] },
): Promise<void> {
  const { token } = await previewTicket(ctx, input)
  const [claims] = input.presented
  if (claims && !isRepeatedConfirmation(token, input.presented, ctx.clock.now()))
    await ctx.store.actorTokens.confirm(token.id, hash('sha256', claims.rotating_token))
}

/**
 * Whether this browser confirmed the ticket a moment ago. It then sees the same page again, even if the ticket was
 * redeemed.
 */
function isRepeatedConfirmation(token: ActorTokenRecord, presented: readonly ClientClaims[], now: number): boolean {
  const { confirmed_token_hash: confirmed, confirmed_at } = token
  if (confirmed === null || confirmed_at === null || now - confirmed_at > REPLAY_WINDOW_MS) return false
  return token.status !== 'revoked' && presented.some(claims => sameToken(confirmed, claims.rotating_token))
}

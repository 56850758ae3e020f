import { ApiError } from '../contract/errors.ts'
import { MAX_LIMIT } from '../contract/operation.ts'
import { findCurrentClient, withSessions } from './clients.ts'
import type { ClientClaims, Context } from './context.ts'
import type { ClientRecord, SessionRecord, UserWithIdentifiers } from './records.ts'

/** The client, session and user that “me” means for a browser. */
export interface Me {
  client: ClientRecord
  session: SessionRecord
  user: UserWithIdentifiers
}

/**
 * Returns the user of a session of this browser: of the named session, or by default of the selected one. This read
 * does not count as use of the session and writes nothing.
 * @throws ApiError authentication_invalid if the session has ended or another client's, or its user or actor is blocked
 */
export async function readMe(
  ctx: Context,
  input: { client: ClientRecord | undefined; session_id?: string | undefined },
): Promise<Me> {
  const client = input.client && (await withSessions(ctx, input.client))
  const id = input.session_id ?? client?.record.last_active_session_id
  const session = client?.sessions.find(each => each.id === id)
  const facts = session && (await ctx.store.sessions.findForMint(session.id))
  const user = facts?.blocked === 0 ? await ctx.store.users.find(facts.user_id) : undefined
  if (!client || !session || !user) throw new ApiError('authentication_invalid')
  return { client: client.record, session, user }
}

/**
 * Refuses a browser that acts as a user: in its selected session, or in the one that the request names. Neither counts
 * alone, because a handler may use either.
 * @throws ApiError forbidden_while_acting
 */
export async function assertNotActing(
  ctx: Context,
  input: { presented: readonly ClientClaims[]; session_ids: readonly (string | undefined)[] },
): Promise<void> {
  const found = await findCurrentClient(ctx, input.presented)
  const client = found && (await withSessions(ctx, found))
  const ids = [client?.record.last_active_session_id, ...input.session_ids]
  const acting = client?.sessions.find(({ id, actor_sub }) => actor_sub !== null && ids.includes(id))
  if (!acting) return
  const { id: session_id, user_id, actor_sub } = acting
  throw new ApiError('forbidden_while_acting', {
    about: { session_id, user_id, ...(actor_sub === null ? {} : { actor_sub }) },
  })
}

/** Lists the user's sessions on all devices, newest first; only active ones if `active` is set. */
export async function listMySessions(
  ctx: Context,
  input: { user_id: string; active: boolean },
): Promise<SessionRecord[]> {
  // Write recent activity first, so that a session used a moment ago is not reported as abandoned.
  await ctx.activity.flush(ctx.store, ctx.clock.now())
  const { rows } = await ctx.store.sessions.list(
    { user_id: input.user_id, ...(input.active ? { status: 'active' } : {}) },
    { limit: MAX_LIMIT, offset: 0 },
  )
  return rows
}

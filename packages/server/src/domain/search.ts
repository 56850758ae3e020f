import { listActorTokens as tokensOperation } from '../contract/actor-tokens.ts'
import type { Operation } from '../contract/operation.ts'
import { MAX_RESULTS } from '../contract/search.ts'
import { listSessions as sessionsOperation } from '../contract/sessions.ts'
import { listUsers as usersOperation } from '../contract/users.ts'
import { auditEvent } from './audit/event.ts'
import type { Caller, Context } from './context.ts'
import type { Found, Page, UserPage } from './lists.ts'
import type { ActorTokenRecord, SessionRecord, UserWithIdentifiers } from './records.ts'
import { countLookup } from './reveal.ts'
import { mayCall } from './secret-keys.ts'

const FIRST: Page = { limit: MAX_RESULTS, offset: 0 }
const NEWEST: UserPage = { ...FIRST, order: { by: 'created_at', descending: true } }

/** What a search found. A kind that the caller may not read is empty. */
export interface FoundBySearch {
  users: UserWithIdentifiers[]
  sessions: SessionRecord[]
  actor_tokens: ActorTokenRecord[]
}

/** Finds users by a part of a text, and sessions and actor tokens by exact ids. Records the search of an operator. */
export async function search(ctx: Context, { query }: { query: string }): Promise<FoundBySearch> {
  await recordSearch(ctx, query)
  const { store, caller } = ctx
  const ifMay = async <T>(operation: Operation, find: () => Promise<T[]>): Promise<T[]> =>
    mayRead(operation, caller) ? find() : []
  const [users, sessions, actor_tokens] = await Promise.all([
    ifMay(usersOperation, async () => (await store.users.list({ query }, NEWEST)).rows),
    ifMay(sessionsOperation, () =>
      byIds(query, {
        prefix: 'sess',
        find: id => store.sessions.find(id),
        list: filter => store.sessions.list(filter, FIRST),
      }),
    ),
    ifMay(tokensOperation, () =>
      byIds(query, {
        prefix: 'act',
        find: id => store.actorTokens.find(id),
        list: filter => store.actorTokens.list({ ...filter, kind: 'actor_token' }, FIRST),
      }),
    ),
  ])
  return { users, sessions, actor_tokens }
}

function mayRead(operation: Operation, { operator, rights = [] }: Caller): boolean {
  return operator ? operation.roles?.includes(operator.role) === true : mayCall(operation, rights)
}

interface Kind<T> {
  prefix: string
  find(id: string): Promise<T | undefined>
  list(filter: { user_id: string } | { actor_sub: string }): Promise<Found<T>>
}

/** Finds objects by their id, by that of their user, or by the `sub` of their actor. */
async function byIds<T extends { id: string }>(query: string, { prefix, find, list }: Kind<T>): Promise<T[]> {
  if (isId(query, prefix)) {
    const found = await find(query)
    return found === undefined ? [] : [found]
  }
  const { rows } = await list({ actor_sub: query })
  if (!isId(query, 'user')) return rows
  const all = [...(await list({ user_id: query })).rows, ...rows]
  // Ids sort by time.
  return [...new Map(all.map(row => [row.id, row])).values()]
    .sort((a, b) => (a.id < b.id ? 1 : -1))
    .slice(0, MAX_RESULTS)
}

const isId = (text: string, prefix: string) => new RegExp(`^${prefix}_[0-9A-Za-z]{27}$`).test(text)

/**
 * Counts an operator's search, and writes its audit event: looking people up is accountable too. If the event cannot be
 * written, nothing is found. The text belongs to the part of the event that can be erased.
 * @throws ApiError too_many_requests
 */
export async function recordSearch(ctx: Context, query: string): Promise<void> {
  const { operator } = ctx.caller
  // Searches of programs are not recorded: they are part of their work.
  if (!operator) return
  countLookup(ctx, operator)
  const about = { actor_sub: operator.actor.sub }
  const actor = JSON.stringify(operator.actor)
  await ctx.store.audit.append(auditEvent(ctx, { action: 'console.search', about, actor, reason: query }))
}

import { sql } from 'kysely'
import type { ActorTokenRecord, ClientRecord } from '../domain/records.ts'
import type { DecidedVersions, DecisionRow, Store } from '../domain/store.ts'
import { disabledActorLocked, lockedActor } from './actors.ts'
import { transitionOnce } from './idempotency-keys.ts'
import { readList } from './lists.ts'
import {
  columnValue,
  type Database,
  insertInto,
  instanceRow,
  now,
  nowOnce,
  param,
  prepared,
  recordEvent,
  sqlFor,
} from './query.ts'
import { notCoveredByCutoff, statusOf } from './revocations.ts'
import { columns } from './schema.ts'
import { blockedActorLocked, selfAsActor } from './users.ts'

const actorTokenColumns = Object.keys(columns.actor_tokens) as (keyof typeof columns.actor_tokens)[]

/** Everything that a decision depends on, with the versions of it, in one read. Exported for the test of its plan. */
export const findForDecision = prepared<{ user_id: string; actor_sub: string }, DecisionRow>(
  sqlFor
    .selectFrom(instanceRow)
    .innerJoin('users', join => join.on('users.id', '=', param('user_id')))
    .leftJoin('actors', join => join.on('actors.sub', '=', param('actor_sub')))
    // The actor's own user: the registered one, or the one whose id or external id is the sub.
    .leftJoin('users as own', join =>
      join.on(eb => eb('own.id', '=', eb.fn.coalesce('actors.user_id', eb.val(param('actor_sub')) as never))),
    )
    .leftJoin('users as own_by_external_id', join => join.on('own_by_external_id.external_id', '=', param('actor_sub')))
    .select(eb => [
      'instance.policy_version as policy_version',
      'users.facts_version as user_version',
      eb.fn
        .coalesce('actors.facts_version', 'own.facts_version', 'own_by_external_id.facts_version', eb.val(0))
        .as('actor_version'),
      ...(['users', 'own', 'own_by_external_id'] as const).flatMap(table =>
        (['id', 'external_id', 'private_metadata', 'banned_at', 'locked_at'] as const).map(column =>
          eb.ref(`${table}.${column}`).as(`${table} ${column}`),
        ),
      ),
      ...(['sub', 'kind', 'teams', 'organizations', 'level', 'owner_sub', 'disabled_at'] as const).map(column =>
        eb.ref(`actors.${column}`).as(`actors ${column}`),
      ),
      eb
        .case()
        .when(
          eb.exists(
            eb
              .selectFrom('actors as registered')
              .select('registered.sub')
              .where(inner =>
                inner.or([
                  inner('registered.user_id', '=', inner.ref('users.id')),
                  inner('registered.sub', '=', inner.ref('users.id')),
                  inner('registered.sub', '=', inner.ref('users.external_id')),
                ]),
              ),
          ),
        )
        .then(1)
        .else(0)
        .end()
        .as('user_is_registered'),
    ]) as never,
)

/** The version that a decision was made on; null if no policy applies. */
const isVersion = (column: 'users.facts_version' | 'instance.policy_version', name: keyof DecidedVersions) =>
  sql<boolean>`(${param(name)} is null or ${sql.ref(column)} = ${param(name)})`

/** The user, if it exists, is neither banned nor locked, and has the version that the decision was made on. */
const unblockedUser = (userId: ReturnType<typeof param>) =>
  sqlFor
    .selectFrom('users')
    .select('users.id')
    .where('users.id', '=', userId)
    .where('banned_at', 'is', null)
    .where('locked_at', 'is', null)
    .where(isVersion('users.facts_version', 'user_version'))
    // A ban waits for this transaction, or this transaction for the ban, so neither misses the other.
    .forShare()

/** The version of the actor is that of its entry, or of the user whose id or external id is the sub. */
const actorHasVersion = (actorSub: ReturnType<typeof param>) => {
  const ofUser = (column: 'id' | 'external_id') =>
    sqlFor.selectFrom('users as acting').select('acting.facts_version').where(`acting.${column}`, '=', actorSub)
  return sql<boolean>`(${param('actor_version')} is null
    or coalesce(${lockedActor(actorSub).select('entry.facts_version')}, ${ofUser('id')}, ${ofUser('external_id')}, 0) = ${param('actor_version')})`
}

/**
 * What was decided still holds. The row of the policy's version is not locked, because every write would wait for it: a
 * session that starts while the policy changes is decided again at its first mint.
 */
const stillDecided = (actorSub: ReturnType<typeof param>) =>
  sql<boolean>`${actorHasVersion(actorSub)}
    and exists ${sqlFor.selectFrom('instance').select('instance.id').where(isVersion('instance.policy_version', 'policy_version'))}`

/** No policy applies to a token without an actor. */
const UNDECIDED = { policy_version: null, user_version: null, actor_version: null }

type Decided = DecidedVersions | typeof UNDECIDED

const insert = prepared<ActorTokenRecord & Decided, { id: string }>(
  sqlFor
    .insertInto('actor_tokens')
    .columns(actorTokenColumns)
    .expression(
      sqlFor
        .selectNoFrom(eb => actorTokenColumns.map(column => eb.val(columnValue(column)).as(column)))
        .where(eb => eb.exists(unblockedUser(param('user_id'))))
        .where(eb => eb.not(eb.exists(blockedActorLocked(param('actor_sub')))))
        .where(eb => eb.not(eb.exists(disabledActorLocked(param('actor_sub')))))
        .where(eb => eb.not(eb.exists(selfAsActor(param('user_id'), param('actor_sub')))))
        .where(stillDecided(param('actor_sub'))) as never,
    )
    .returning('id'),
)

const find = prepared<{ id: string }, ActorTokenRecord>(
  sqlFor
    .selectFrom('actor_tokens')
    .selectAll()
    .select(statusOf('actor_tokens').as('status'))
    .where('id', '=', param('id')) as never,
)

const revoke = prepared<{ id: string; kind: string }, ActorTokenRecord>(
  sqlFor
    .updateTable('actor_tokens')
    .set({ status: 'revoked', updated_at: now })
    .where('id', '=', param('id'))
    .where('kind', '=', param('kind'))
    .where('status', '=', 'pending')
    .where(notCoveredByCutoff('actor_tokens'))
    .returningAll(),
)

/**
 * The only statement that decides who redeems. The token must be pending, not expired (now or earlier) and for the
 * actor that the caller expects; neither user nor actor may be banned or locked.
 */
const accept = prepared<
  { id: string; session_id: string; expected_actor_sub: string | null } & Decided,
  { id: string }
>(
  sqlFor
    .updateTable('actor_tokens')
    .set({ status: 'accepted', session_id: param('session_id'), updated_at: now })
    .where('id', '=', param('id'))
    .where('status', '=', 'pending')
    .where('expires_at', '>', now)
    .where('expired_at', 'is', null)
    .where(notCoveredByCutoff('actor_tokens'))
    .where(eb => eb.exists(unblockedUser(eb.ref('actor_tokens.user_id'))))
    .where(eb => eb.not(eb.exists(blockedActorLocked(eb.ref('actor_tokens.actor_sub')))))
    .where(eb => eb.not(eb.exists(disabledActorLocked(eb.ref('actor_tokens.actor_sub')))))
    .where(eb => eb.not(eb.exists(selfAsActor(eb.ref('actor_tokens.user_id'), eb.ref('actor_tokens.actor_sub')))))
    .where(eb => stillDecided(eb.ref('actor_tokens.actor_sub')))
    .where(eb =>
      eb.or([eb(eb.val(param('expected_actor_sub')), 'is', null), eb('actor_sub', '=', param('expected_actor_sub'))]),
    )
    .returning('id'),
)

const confirm = prepared<{ id: string; token_hash: string }>(
  sqlFor
    .updateTable('actor_tokens')
    .set({ confirmed_token_hash: param('token_hash'), confirmed_at: now })
    .where('id', '=', param('id'))
    .where('status', '=', 'pending'),
)

const markExpired = prepared<{ id: string }>(
  sqlFor
    .updateTable('actor_tokens')
    .set({ expired_at: now })
    .where('id', '=', param('id'))
    .where('status', '=', 'pending')
    .where('expired_at', 'is', null)
    .where('expires_at', '<=', now),
)

const expireOverdue = prepared<{ limit: number }, { id: string }>(
  sqlFor
    .updateTable('actor_tokens')
    .set({ expired_at: now })
    .where('status', '=', 'pending')
    .where('expired_at', 'is', null)
    .where('id', 'in', eb =>
      eb
        .selectFrom('actor_tokens as overdue')
        .select('overdue.id')
        // Literals, so that the index of pending tokens can be used.
        .where('overdue.status', '=', sql.lit('pending'))
        .where('overdue.expired_at', 'is', null)
        .where('overdue.expires_at', '<=', nowOnce)
        .limit(param('limit'))
        .forUpdate()
        .skipLocked(),
    )
    .returning('id'),
)

/**
 * A session is as old as its token: a cutoff that covers the token covers the session too. This holds for a cutoff
 * that another connection commits after this statement took its snapshot, so no lock is needed.
 */
const insertSession = insertInto('sessions', {
  written_at: sqlFor.selectFrom('actor_tokens').select('written_at').where('id', '=', param('actor_token_id')),
})

/** Inserts a new client, or gives an existing one its new token. */
const upsertClient = prepared<ClientRecord>(
  sqlFor
    .insertInto('clients')
    .values(Object.fromEntries(Object.keys(columns.clients).map(column => [column, param(column)])) as never)
    .onConflict(conflict =>
      conflict.column('id').doUpdateSet(eb => ({
        rotating_token_hash: eb.ref('excluded.rotating_token_hash'),
        previous_token_hash: eb.ref('excluded.previous_token_hash'),
        last_active_session_id: eb.ref('excluded.last_active_session_id'),
        updated_at: eb.ref('excluded.updated_at'),
      })),
    ),
)

/** Stores a user's own sign-in. A sign-in as an actor does not change when the user was last seen. */
const recordSignIn = prepared<{ user_id: string }>(
  sqlFor.updateTable('users').set({ last_sign_in_at: now, last_active_at: now }).where('id', '=', param('user_id')),
)

export function actorTokens(db: Database): Store['actorTokens'] {
  return {
    async insert(token, decided, event, once) {
      const steps = [
        { query: insert({ ...token, ...(decided ?? UNDECIDED) }), required: true },
        recordEvent(event),
      ] as const
      const inserted = await (once ? transitionOnce(db, once, ...steps) : db.transition(...steps))
      return inserted !== undefined
    },

    find: id => db.get(find({ id })),
    findForDecision: (user_id, actor_sub) => db.get(findForDecision({ user_id, actor_sub })),

    list({ kind, user_id, actor_sub, ...request }, page) {
      return readList(db, 'actor_tokens', { ...request, ...page }, { kind, user_id, actor_sub })
    },

    async revoke(id, kind, event) {
      const revoked = await db.transition(
        { query: revoke({ id, kind }), required: true, revokes: true },
        recordEvent(event),
      )
      return revoked?.[0]
    },

    async accept({ actor_token_id, client, session, expected_actor_sub, decided, event }, once) {
      const subject = { id: actor_token_id, session_id: session.id, expected_actor_sub }
      const decision = accept({ ...subject, ...(decided ?? UNDECIDED) })
      const steps = [
        { query: decision, required: true },
        { query: upsertClient(client) },
        { query: insertSession(session) },
        recordEvent(event),
        ...(session.actor === null ? [{ query: recordSignIn({ user_id: session.user_id }) }] : []),
      ] as const
      const accepted = await (once ? transitionOnce(db, once, ...steps) : db.transition(...steps))
      return accepted !== undefined
    },

    async confirm(id, token_hash) {
      await db.transition({ query: confirm({ id, token_hash }) })
    },

    async markExpired(id) {
      await db.transition({ query: markExpired({ id }), revokes: true })
    },

    async expireOverdue(limit) {
      return (await db.transition({ query: expireOverdue({ limit }), revokes: true }))?.length ?? 0
    },
  }
}

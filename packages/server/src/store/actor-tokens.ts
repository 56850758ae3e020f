import { sql } from 'kysely'
import type { ClientRecord, TicketRecord } from '../domain/records.ts'
import type { Store } from '../domain/store.ts'
import { recorded } from './audit-events.ts'
import { transitionOnce } from './idempotency-keys.ts'
import { listed } from './lists.ts'
import { columnValue, type Database, given, insertInto, now, nowOnce, prepared, sqlFor } from './query.ts'
import { notStamped, statusOf } from './revocations.ts'
import { columns } from './schema.ts'
import { blockedActorLocked, selfAsActor } from './users.ts'

const ticketColumns = Object.keys(columns.tickets) as (keyof typeof columns.tickets)[]

const mayBeSignedIn = (userId: ReturnType<typeof given>) =>
  sqlFor
    .selectFrom('users')
    .select('users.id')
    .where('users.id', '=', userId)
    .where('banned_at', 'is', null)
    .where('locked_at', 'is', null)
    // A ban waits for this transaction, or this transaction for the ban, so neither misses the other.
    .forShare()

const insert = prepared<TicketRecord, { id: string }>(
  sqlFor
    .insertInto('tickets')
    .columns(ticketColumns)
    .expression(
      sqlFor
        .selectNoFrom(eb => ticketColumns.map(column => eb.val(columnValue(column)).as(column)))
        .where(eb => eb.exists(mayBeSignedIn(given('user_id'))))
        .where(eb => eb.not(eb.exists(blockedActorLocked(given('actor_sub')))))
        .where(eb => eb.not(eb.exists(selfAsActor(given('user_id'), given('actor_sub'))))) as never,
    )
    .returning('id'),
)

const find = prepared<{ id: string }, TicketRecord>(
  sqlFor
    .selectFrom('tickets')
    .selectAll()
    .select(statusOf('tickets').as('status'))
    .where('id', '=', given('id')) as never,
)

const revoke = prepared<{ id: string; kind: string }, TicketRecord>(
  sqlFor
    .updateTable('tickets')
    .set({ status: 'revoked', updated_at: now })
    .where('id', '=', given('id'))
    .where('kind', '=', given('kind'))
    .where('status', '=', 'pending')
    .where(notStamped('tickets'))
    .returningAll(),
)

/**
 * The only statement that decides who redeems. The token must be pending, not expired (now or earlier) and for the
 * actor that the caller expects; neither user nor actor may be banned or locked.
 */
const accept = prepared<{ id: string; session_id: string; expected_actor_sub: string | null }, { id: string }>(
  sqlFor
    .updateTable('tickets')
    .set({ status: 'accepted', session_id: given('session_id'), updated_at: now })
    .where('id', '=', given('id'))
    .where('status', '=', 'pending')
    .where('expires_at', '>', now)
    .where('expired_at', 'is', null)
    .where(notStamped('tickets'))
    .where(eb => eb.exists(mayBeSignedIn(eb.ref('tickets.user_id'))))
    .where(eb => eb.not(eb.exists(blockedActorLocked(eb.ref('tickets.actor_sub')))))
    .where(eb => eb.not(eb.exists(selfAsActor(eb.ref('tickets.user_id'), eb.ref('tickets.actor_sub')))))
    .where(eb =>
      eb.or([eb(eb.val(given('expected_actor_sub')), 'is', null), eb('actor_sub', '=', given('expected_actor_sub'))]),
    )
    .returning('id'),
)

const confirm = prepared<{ id: string; token_hash: string }>(
  sqlFor
    .updateTable('tickets')
    .set({ confirmed_token_hash: given('token_hash'), confirmed_at: now })
    .where('id', '=', given('id'))
    .where('status', '=', 'pending'),
)

const noteExpired = prepared<{ id: string }>(
  sqlFor
    .updateTable('tickets')
    .set({ expired_at: now })
    .where('id', '=', given('id'))
    .where('status', '=', 'pending')
    .where('expired_at', 'is', null)
    .where('expires_at', '<=', now),
)

const noteOverdue = prepared<{ limit: number }, { id: string }>(
  sqlFor
    .updateTable('tickets')
    .set({ expired_at: now })
    .where('status', '=', 'pending')
    .where('expired_at', 'is', null)
    .where('id', 'in', eb =>
      eb
        .selectFrom('tickets as overdue')
        .select('overdue.id')
        // Literals, so that the index of pending tickets can be used.
        .where('overdue.status', '=', sql.lit('pending'))
        .where('overdue.expired_at', 'is', null)
        .where('overdue.expires_at', '<=', nowOnce)
        .limit(given('limit'))
        .forUpdate()
        .skipLocked(),
    )
    .returning('id'),
)

/**
 * A session is as old as its ticket: a cutoff that covers the ticket covers the session too. This holds for a cutoff
 * that another connection commits after this statement took its snapshot, so no lock is needed.
 */
const insertSession = insertInto('sessions', {
  written_at: sqlFor.selectFrom('tickets').select('written_at').where('id', '=', given('ticket_id')),
})

/** Inserts a new client, or gives an existing one its new token. */
const upsertClient = prepared<ClientRecord>(
  sqlFor
    .insertInto('clients')
    .values(Object.fromEntries(Object.keys(columns.clients).map(column => [column, given(column)])) as never)
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
const noteSignIn = prepared<{ user_id: string }>(
  sqlFor.updateTable('users').set({ last_sign_in_at: now, last_active_at: now }).where('id', '=', given('user_id')),
)

export function tickets(db: Database): Store['tickets'] {
  return {
    async insert(ticket, event, once) {
      const made = await transitionOnce(db, once, { query: insert(ticket), required: true }, recorded(event))
      return made !== undefined
    },

    find: id => db.get(find({ id })),

    list({ kind, user_id, actor_sub, ...wanted }, page) {
      return listed(db, 'tickets', { ...wanted, ...page }, { kind, user_id, actor_sub })
    },

    async revoke(id, kind, event) {
      const revoked = await db.transition(
        { query: revoke({ id, kind }), required: true, revokes: true },
        recorded(event),
      )
      return revoked?.[0]
    },

    async accept({ ticket_id, client, session, expected_actor_sub, event }, once) {
      const accepted = await transitionOnce(
        db,
        once,
        { query: accept({ id: ticket_id, session_id: session.id, expected_actor_sub }), required: true },
        { query: upsertClient(client) },
        { query: insertSession(session) },
        recorded(event),
        ...(session.actor === null ? [{ query: noteSignIn({ user_id: session.user_id }) }] : []),
      )
      return accepted !== undefined
    },

    async confirm(id, token_hash) {
      await db.transition({ query: confirm({ id, token_hash }) })
    },

    async noteExpired(id) {
      await db.transition({ query: noteExpired({ id }), revokes: true })
    },

    async noteOverdue(limit) {
      return (await db.transition({ query: noteOverdue({ limit }), revokes: true }))?.length ?? 0
    },
  }
}

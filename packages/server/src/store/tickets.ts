import type { ClientRecord, TicketRecord } from '../domain/records.ts'
import type { Store } from '../domain/store.ts'
import { count, recorded } from './audit-events.ts'
import { bound, type Database, given, insertInto, prepared, sqlFor } from './query.ts'
import { columns } from './schema.ts'

const mayBeSignedIn = (userId: ReturnType<typeof given>) =>
  sqlFor
    .selectFrom('users')
    .select('users.id')
    .where('users.id', '=', userId)
    .where('banned_at', 'is', null)
    .where('locked_at', 'is', null)

/** The actor, if that is a user of ours who may not act. */
const barred = (actorSub: ReturnType<typeof given>) =>
  sqlFor
    .selectFrom('users')
    .select('users.id')
    .where('users.id', '=', actorSub)
    .where(actor => actor.or([actor('banned_at', 'is not', null), actor('locked_at', 'is not', null)]))

const insert = prepared<TicketRecord, { id: string }>(
  sqlFor
    .insertInto('tickets')
    .columns(columns.tickets)
    .expression(
      sqlFor
        .selectNoFrom(eb => columns.tickets.map(column => eb.val(given(column)).as(column)))
        .where(eb => eb.exists(mayBeSignedIn(given('user_id'))))
        .where(eb => eb.not(eb.exists(barred(given('actor_sub'))))) as never,
    )
    .returning('id'),
)

const find = prepared<{ id: string }, TicketRecord>(
  sqlFor.selectFrom('tickets').selectAll().where('id', '=', given('id')),
)

const revoke = prepared<{ id: string; kind: string; now: number }, TicketRecord>(
  sqlFor
    .updateTable('tickets')
    .set({ status: 'revoked', updated_at: given('now') })
    .where('id', '=', given('id'))
    .where('kind', '=', given('kind'))
    .where('status', '=', 'pending')
    .returningAll(),
)

/** The one statement that decides who redeems: pending, in time, never seen expired, and neither user nor actor is barred. */
const accept = prepared<{ id: string; session_id: string; now: number }, { user_id: string; actor: string | null }>(
  sqlFor
    .updateTable('tickets')
    .set({ status: 'accepted', session_id: given('session_id'), updated_at: given('now') })
    .where('id', '=', given('id'))
    .where('status', '=', 'pending')
    .where('expires_at', '>', given('now'))
    .where('expired_at', 'is', null)
    .where(eb => eb.exists(mayBeSignedIn(eb.ref('tickets.user_id'))))
    .where(eb => eb.not(eb.exists(barred(eb.ref('tickets.actor_sub')))))
    .returning(['user_id', 'actor']),
)

const noteExpired = prepared<{ id: string; now: number }>(
  sqlFor
    .updateTable('tickets')
    .set({ expired_at: given('now') })
    .where('id', '=', given('id'))
    .where('status', '=', 'pending')
    .where('expired_at', 'is', null)
    .where('expires_at', '<=', given('now')),
)

const insertSession = insertInto('sessions')

/** A new client, or the one there is with a new token. */
const upsertClient = prepared<ClientRecord>(
  sqlFor
    .insertInto('clients')
    .values(Object.fromEntries(columns.clients.map(column => [column, given(column)])) as never)
    .onConflict(conflict =>
      conflict.column('id').doUpdateSet(eb => ({
        rotating_token_hash: eb.ref('excluded.rotating_token_hash'),
        previous_token_hash: eb.ref('excluded.previous_token_hash'),
        last_active_session_id: eb.ref('excluded.last_active_session_id'),
        updated_at: eb.ref('excluded.updated_at'),
      })),
    ),
)

/** A sign-in of the user's own; one as an actor leaves no trace in the user's own last-seen. */
const noteSignIn = prepared<{ user_id: string; now: number }>(
  sqlFor
    .updateTable('users')
    .set({ last_sign_in_at: given('now'), last_active_at: given('now') })
    .where('id', '=', given('user_id')),
)

export function tickets(db: Database): Store['tickets'] {
  return {
    async insert(ticket, event) {
      return (await db.transition({ query: insert(ticket), required: true }, recorded(event))) !== undefined
    },

    find: id => db.get(find({ id })),

    async list(filter, { limit, offset }) {
      let query = sqlFor.selectFrom('tickets').where('kind', '=', filter.kind)
      if (filter.status !== undefined) query = query.where('status', '=', filter.status)
      if (filter.user_id !== undefined) query = query.where('user_id', '=', filter.user_id)
      if (filter.actor_sub !== undefined) query = query.where('actor_sub', '=', filter.actor_sub)
      const total = filter.counted ? await count(db, query) : 0
      const newest = query.selectAll().orderBy('id', 'desc')
      return { rows: await db.all(bound(newest.limit(limit).offset(offset))), total }
    },

    async revoke(id, kind, now, event) {
      const revoked = await db.transition(
        { query: revoke({ id, kind, now }), required: true, revokes: true },
        recorded(event),
      )
      return revoked?.[0]
    },

    async accept({ ticket_id, now, client, session, event }) {
      const accepted = await db.transition(
        {
          query: accept({ id: ticket_id, session_id: session.id, now }),
          required: true,
          next: ([ticket]) => (ticket?.actor === null ? [{ query: noteSignIn({ user_id: ticket.user_id, now }) }] : []),
        },
        { query: upsertClient(client) },
        { query: insertSession(session) },
        recorded(event),
      )
      return accepted !== undefined
    },

    async noteExpired(id, now) {
      await db.transition({ query: noteExpired({ id, now }), revokes: true })
    },
  }
}

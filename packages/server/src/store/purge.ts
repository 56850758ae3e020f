import { sql } from 'kysely'
import type { LongOver, Store } from '../domain/store.ts'
import { bound, type Database, given, now, prepared, type Step, sqlFor } from './query.ts'

/**
 * Rows that ended before a moment, and at least `keep` ms ago by the store's clock. This is one bound, because with
 * two an index might use either.
 */
const longOver = (column: string) =>
  sql<boolean>`${sql.ref(column)} <= (select case when ${given('until')} < ${now} - ${given('keep')} then ${given('until')} else ${now} - ${given('keep')} end)`

/**
 * Sessions that ended, and whose expiry is also long past: until then a client may hold a token of the session, and
 * followers ask about it.
 */
const endedSessions = sqlFor
  .selectFrom('sessions as over')
  .where('over.status', '<>', sql.lit('active'))
  .where(longOver('over.expire_at'))

const deleteSessions = prepared<LongOver & { limit: number }, DeletedSession>(
  sqlFor
    .deleteFrom('sessions')
    .where(
      'id',
      'in',
      endedSessions
        // Locks the client too. A sign-in then waits, and finds the client or creates it again. Of two nodes, only one
        // handles all sessions of a client.
        .innerJoin('clients', 'clients.id', 'over.client_id')
        .select('over.id')
        .orderBy('over.expire_at')
        .limit(given('limit'))
        .forUpdate()
        .skipLocked(),
    )
    .returning(['client_id', 'ticket_id']),
)

interface DeletedSession {
  client_id: string
  ticket_id: string | null
}

/**
 * Tokens that were never redeemed and never can be: they are revoked or stored as expired, which no change of the clock
 * undoes.
 */
const unusedTickets = sqlFor
  .selectFrom('tickets as over')
  .where('over.session_id', 'is', null)
  .where(sql<boolean>`(over.status <> 'pending' or over.expired_at is not null)`)
  .where(longOver('over.expires_at'))

const deleteTickets = prepared<LongOver & { limit: number }, { id: string }>(
  sqlFor
    .deleteFrom('tickets')
    .where(
      'id',
      'in',
      unusedTickets.select('over.id').orderBy('over.expires_at').limit(given('limit')).forUpdate().skipLocked(),
    )
    .returning('id'),
)

/** Cutoffs whose rows have all been marked, and which cover no row that can still be active. */
const oldStamps = sqlFor
  .selectFrom('not_before as over')
  .where('over.marked_at', 'is not', null)
  .where(longOver('over.at'))
  .where(longOver('over.marked_at'))

const deleteStamps = prepared<LongOver & { limit: number }, { at: number }>(
  sqlFor
    .deleteFrom('not_before')
    .where(eb =>
      eb(
        eb.refTuple('scope', 'subject'),
        'in',
        oldStamps
          .select(['over.scope', 'over.subject'])
          .limit(given('limit'))
          .forUpdate()
          .skipLocked()
          .$asTuple('scope', 'subject') as never,
      ),
    )
    .returning('at'),
)

/** Deletes those of the clients that have no session left. */
const deleteClients = (ids: string[]) =>
  bound(
    sqlFor
      .deleteFrom('clients')
      .where('id', 'in', ids)
      .where(eb =>
        eb.not(eb.exists(eb.selectFrom('sessions').select('sessions.id').whereRef('client_id', '=', 'clients.id'))),
      )
      .returning('id'),
  )

const deleteUsedTickets = (ids: string[]) => bound(sqlFor.deleteFrom('tickets').where('id', 'in', ids).returning('id'))

/** The queries that find the next rows, exported so that tests can check their query plans. */
export const purgeQueries = { deleteSessions, deleteTickets, deleteStamps }

export function purge(db: Database): Store['purge'] {
  return {
    async some(over, limit) {
      let clients = 0
      let used = 0
      const sessions = await db.transition({
        query: deleteSessions({ ...over, limit }),
        next: rows => {
          const clientIds = [...new Set(rows.map(row => row.client_id))]
          const ticketIds = rows.flatMap(row => row.ticket_id ?? [])
          const steps: Step[] = []
          if (clientIds.length > 0)
            steps.push({ query: deleteClients(clientIds), next: gone => counted(gone, it => (clients = it)) })
          // Delete a redeemed token together with its session, not earlier: it names the session.
          if (ticketIds.length > 0)
            steps.push({ query: deleteUsedTickets(ticketIds), next: gone => counted(gone, it => (used = it)) })
          return steps
        },
      })
      const unused = await db.transition({ query: deleteTickets({ ...over, limit }) })
      const stamps = await db.transition({ query: deleteStamps({ ...over, limit }) })
      return {
        sessions: sessions?.length ?? 0,
        tickets: used + (unused?.length ?? 0),
        clients,
        stamps: stamps?.length ?? 0,
        left: [sessions, unused, stamps].some(rows => rows?.length === limit),
      }
    },

    async count(over) {
      const total = sql<number>`count(*)`.as('total')
      const count = prepared<LongOver, { total: number }>
      const [sessions, unused, used, stamps] = await Promise.all([
        db.get(count(endedSessions.select(total))(over)),
        db.get(count(unusedTickets.select(total))(over)),
        db.get(count(endedSessions.where('over.ticket_id', 'is not', null).select(total))(over)),
        db.get(count(oldStamps.select(total))(over)),
      ])
      return {
        sessions: sessions?.total ?? 0,
        tickets: (unused?.total ?? 0) + (used?.total ?? 0),
        stamps: stamps?.total ?? 0,
      }
    },
  }
}

/** Passes on the number of rows; adds no further steps. */
function counted(rows: unknown[], note: (count: number) => void): Step[] {
  note(rows.length)
  return []
}

import { sql } from 'kysely'
import type { ExpiredBefore, Store } from '../domain/store.ts'
import { type Database, dynamic, now, param, prepared, type Step, sqlFor } from './query.ts'

/**
 * Rows that ended before a moment, and at least `keep` ms ago by the store's clock. This is one bound, because with
 * two an index might use either.
 */
const expiredBefore = (column: string) =>
  sql<boolean>`${sql.ref(column)} <= (select case when ${param('until')} < ${now} - ${param('keep')} then ${param('until')} else ${now} - ${param('keep')} end)`

/**
 * Sessions that ended, and whose expiry is also long past: until then a client may hold a token of the session, and
 * followers ask about it.
 */
const endedSessions = sqlFor
  .selectFrom('sessions as expired')
  .where('expired.status', '<>', sql.lit('active'))
  .where(expiredBefore('expired.expire_at'))

const deleteSessions = prepared<ExpiredBefore & { limit: number }, DeletedSession>(
  sqlFor
    .deleteFrom('sessions')
    .where(
      'id',
      'in',
      endedSessions
        // Locks the client too. A sign-in then waits, and finds the client or creates it again. Of two nodes, only one
        // handles all sessions of a client.
        .innerJoin('clients', 'clients.id', 'expired.client_id')
        .select('expired.id')
        .orderBy('expired.expire_at')
        .limit(param('limit'))
        .forUpdate()
        .skipLocked(),
    )
    .returning(['client_id', 'actor_token_id']),
)

interface DeletedSession {
  client_id: string
  actor_token_id: string | null
}

/**
 * Tokens that were never redeemed and never can be: they are revoked or stored as expired, which no change of the clock
 * undoes.
 */
const unusedActorTokens = sqlFor
  .selectFrom('actor_tokens as expired')
  .where('expired.session_id', 'is', null)
  .where(sql<boolean>`(expired.status <> 'pending' or expired.expired_at is not null)`)
  .where(expiredBefore('expired.expires_at'))

const deleteActorTokens = prepared<ExpiredBefore & { limit: number }, { id: string }>(
  sqlFor
    .deleteFrom('actor_tokens')
    .where(
      'id',
      'in',
      unusedActorTokens
        .select('expired.id')
        .orderBy('expired.expires_at')
        .limit(param('limit'))
        .forUpdate()
        .skipLocked(),
    )
    .returning('id'),
)

/** Cutoffs whose rows have all been marked, and which cover no row that can still be active. */
const oldCutoffs = sqlFor
  .selectFrom('cutoffs as expired')
  .where('expired.applied_at', 'is not', null)
  .where(expiredBefore('expired.at'))
  .where(expiredBefore('expired.applied_at'))

const deleteCutoffs = prepared<ExpiredBefore & { limit: number }, { at: number }>(
  sqlFor
    .deleteFrom('cutoffs')
    .where(eb =>
      eb(
        eb.refTuple('scope', 'subject'),
        'in',
        oldCutoffs
          .select(['expired.scope', 'expired.subject'])
          .limit(param('limit'))
          .forUpdate()
          .skipLocked()
          .$asTuple('scope', 'subject') as never,
      ),
    )
    .returning('at'),
)

/** Sessions of operators, by the time at which they expire in any case. */
const oldOperatorSessions = sqlFor.selectFrom('operator_sessions as expired').where(expiredBefore('expired.expires_at'))

const deleteOperatorSessions = prepared<ExpiredBefore & { limit: number }, { id: string }>(
  sqlFor
    .deleteFrom('operator_sessions')
    .where(
      'id',
      'in',
      oldOperatorSessions
        .select('expired.id')
        .orderBy('expired.expires_at')
        .limit(param('limit'))
        .forUpdate()
        .skipLocked(),
    )
    .returning('id'),
)

/** For how long a one-time link or the challenge of a passkey stays after its expiry, in ms. */
const SECRET_KEPT = 86_400_000

/** One-time links, used or not, and sign-ins that were begun and never finished, with the challenge of their passkey. */
const oldSecrets = <T extends 'operator_links' | 'operator_sign_ins'>(table: T) =>
  sqlFor
    .selectFrom(`${table} as expired` as 'operator_links as expired')
    .where(
      sql<boolean>`expired.expires_at <= (select case when ${param('until')} < ${now} - ${sql.lit(SECRET_KEPT)} then ${param('until')} else ${now} - ${sql.lit(SECRET_KEPT)} end)`,
    )

const deleteSecrets = (table: 'operator_links' | 'operator_sign_ins') =>
  prepared<{ until: number; limit: number }, { secret_hash: string }>(
    sqlFor
      .deleteFrom(table)
      .where(
        'secret_hash',
        'in',
        oldSecrets(table)
          .select('expired.secret_hash')
          .orderBy('expired.expires_at')
          .limit(param('limit'))
          .forUpdate()
          .skipLocked(),
      )
      .returning('secret_hash'),
  )

const deleteOperatorLinks = deleteSecrets('operator_links')
const deleteOperatorSignIns = deleteSecrets('operator_sign_ins')

/** Deletes those of the clients that have no session left. */
const deleteClients = (ids: string[]) =>
  dynamic(
    sqlFor
      .deleteFrom('clients')
      .where('id', 'in', ids)
      .where(eb =>
        eb.not(eb.exists(eb.selectFrom('sessions').select('sessions.id').whereRef('client_id', '=', 'clients.id'))),
      )
      .returning('id'),
  )

const deleteUsedActorTokens = (ids: string[]) =>
  dynamic(sqlFor.deleteFrom('actor_tokens').where('id', 'in', ids).returning('id'))

/** The queries that find the next rows, exported so that tests can check their query plans. */
export const purgeQueries = {
  deleteSessions,
  deleteActorTokens,
  deleteCutoffs,
  deleteOperatorSessions,
  deleteOperatorLinks,
  deleteOperatorSignIns,
}

export function purge(db: Database): Store['purge'] {
  return {
    async deleteBatch(expired, limit) {
      let clients = 0
      let used = 0
      const sessions = await db.transition({
        query: deleteSessions({ ...expired, limit }),
        next: rows => {
          const clientIds = [...new Set(rows.map(row => row.client_id))]
          const actorTokenIds = rows.flatMap(row => row.actor_token_id ?? [])
          const steps: Step[] = []
          if (clientIds.length > 0)
            steps.push({ query: deleteClients(clientIds), next: rows => countRows(rows, count => (clients = count)) })
          // Delete a redeemed token together with its session, not earlier: it names the session.
          if (actorTokenIds.length > 0)
            steps.push({
              query: deleteUsedActorTokens(actorTokenIds),
              next: rows => countRows(rows, count => (used = count)),
            })
          return steps
        },
      })
      const unused = await db.transition({ query: deleteActorTokens({ ...expired, limit }) })
      const cutoffs = await db.transition({ query: deleteCutoffs({ ...expired, limit }) })
      const { until } = expired
      const operatorSessions = await db.transition({ query: deleteOperatorSessions({ ...expired, limit }) })
      const links = await db.transition({ query: deleteOperatorLinks({ until, limit }) })
      const signIns = await db.transition({ query: deleteOperatorSignIns({ until, limit }) })
      return {
        sessions: sessions?.length ?? 0,
        actor_tokens: used + (unused?.length ?? 0),
        clients,
        cutoffs: cutoffs?.length ?? 0,
        operator_sessions: operatorSessions?.length ?? 0,
        operator_links: links?.length ?? 0,
        operator_sign_ins: signIns?.length ?? 0,
        left: [sessions, unused, cutoffs, operatorSessions, links, signIns].some(rows => rows?.length === limit),
      }
    },

    async count(expired) {
      const total = sql<number>`count(*)`.as('total')
      const count = prepared<ExpiredBefore, { total: number }>
      const ofSecrets = prepared<{ until: number }, { total: number }>
      const { until } = expired
      const [sessions, unused, used, cutoffs, operatorSessions, links, signIns] = await Promise.all([
        db.get(count(endedSessions.select(total))(expired)),
        db.get(count(unusedActorTokens.select(total))(expired)),
        db.get(count(endedSessions.where('expired.actor_token_id', 'is not', null).select(total))(expired)),
        db.get(count(oldCutoffs.select(total))(expired)),
        db.get(count(oldOperatorSessions.select(total))(expired)),
        db.get(ofSecrets(oldSecrets('operator_links').select(total))({ until })),
        db.get(ofSecrets(oldSecrets('operator_sign_ins').select(total))({ until })),
      ])
      return {
        sessions: sessions?.total ?? 0,
        actor_tokens: (unused?.total ?? 0) + (used?.total ?? 0),
        cutoffs: cutoffs?.total ?? 0,
        operator_sessions: operatorSessions?.total ?? 0,
        operator_links: links?.total ?? 0,
        operator_sign_ins: signIns?.total ?? 0,
      }
    },
  }
}

/** Passes on the number of rows; adds no further steps. */
function countRows(rows: unknown[], note: (count: number) => void): Step[] {
  note(rows.length)
  return []
}

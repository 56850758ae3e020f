import { sql } from 'kysely'
import type { Found, Page } from '../domain/lists.ts'
import { type Condition, type List, type Query, readPage } from './paging.ts'
import { type Database, now, nowOnce, sqlFor } from './query.ts'
import { coveredByCutoff, notCoveredByCutoff, statusOf } from './revocations.ts'
import { columns } from './schema.ts'

/**
 * Lists of sessions and tokens, newest first. Each index of these lists has one filter, the status and the id, so it
 * finds the rows with one status in their order, at any size. A list of every status merges those of each status.
 *
 * The stored status can be about a second behind: the row has expired, or a bulk revocation covers it. So the list of
 * one status has two queries: for the rows that are stored with it, and for the few that have it but are not yet stored
 * with it.
 */

type Table = 'sessions' | 'actor_tokens'

/** The stored status of a usable row. */
const USABLE = { sessions: 'active', actor_tokens: 'pending' } as const

/** Every stored status. */
const STATUSES = {
  sessions: ['active', 'ended', 'removed', 'revoked', 'expired', 'abandoned'],
  actor_tokens: ['pending', 'accepted', 'revoked'],
} as const

/** The filters that an index starts with. The first one that is given is used: usually it matches the fewest rows. */
const INDEXED = { sessions: ['client_id', 'user_id', 'actor_sub'], actor_tokens: ['user_id', 'actor_sub'] } as const

const withoutStatus = (table: Table) => Object.keys(columns[table]).filter(column => column !== 'status')

/** Every column but the status, which is selected as it is now: two columns of one name would hide one of them. */
const storedColumns = { sessions: withoutStatus('sessions'), actor_tokens: withoutStatus('actor_tokens') }

/** A session's status now, even if its end is not stored yet: `statusAt` in domain/sessions.ts, as SQL. */
const sessionStatus = sql<string>`case when ${statusOf('sessions')} <> 'active' then ${statusOf('sessions')} when expire_at <= ${now} then 'expired' when abandon_at <= ${now} then 'abandoned' else 'active' end`

/** The status now. */
const statusNow = { sessions: sessionStatus, actor_tokens: statusOf('actor_tokens') }

/** When a session ends if nothing else ends it, in the form that its index uses. */
export const endsAt = sql<number>`case when expire_at < abandon_at then expire_at else abandon_at end`

/**
 * Whether a row that is stored as usable still is. Does not use `statusNow`, because PostgreSQL cannot estimate how
 * many rows match it.
 */
const stillUsable = {
  actor_tokens: notCoveredByCutoff('actor_tokens'),
  sessions: sql<boolean>`${notCoveredByCutoff('sessions')} and expire_at > ${now} and abandon_at > ${now}`,
}
export const isUsableSession = stillUsable.sessions

/**
 * Whether a bulk revocation covers a row that it has not marked yet. Searches only while there is such a revocation: as
 * a value, the first condition is computed once, before any row is read.
 */
const revokedButNotMarked = (table: Table) =>
  sql<boolean>`(select 1 from cutoffs where applied_at is null limit 1) = 1 and status = ${sql.lit(USABLE[table])} and ${coveredByCutoff(table)}`

const overdue = sql<boolean>`status = 'active' and ${endsAt} <= ${nowOnce}`

/** Rows that are stored as usable but are not: all that can have this status now, and a few more. */
const notYetStored: Record<Table, Record<string, Condition>> = {
  actor_tokens: { revoked: revokedButNotMarked('actor_tokens') },
  sessions: { revoked: revokedButNotMarked('sessions'), expired: overdue, abandoned: overdue },
}

interface ListRequest extends Page {
  status?: string | undefined
  counted?: boolean | undefined
}

type Filters = Record<string, string | undefined>

/**
 * Reads a page of a list, newest first. The order is by id, so a position is an id, even if its row no longer exists.
 * @param filters the other filters: values that columns must equal
 */
export function readList<R extends { id: string }>(
  db: Database,
  table: Table,
  request: ListRequest,
  filters: Filters,
): Promise<Found<R>> {
  return readPage<R>(db, request, listOf(table, request, filters))
}

/** Returns the queries of a list. */
export function listOf<R extends { id: string }>(table: Table, request: ListRequest, filters: Filters): List<R> {
  const { kind, ...given } = filters
  const indexed = INDEXED[table].find(column => given[column] !== undefined)
  const rest = Object.entries(given)
    .filter(([column, value]) => column !== indexed && value !== undefined)
    .map(([column, value]) => sql<boolean>`${sql.ref(column)} = ${value}`)
  // The list of all sessions by status has an index of its own form, which no other query uses (0007_lists).
  const isPlain = indexed !== undefined || table === 'actor_tokens'
  const where = (query: Query): Query => {
    const ofKind = kind === undefined ? query : query.where('kind', '=', sql.lit(kind))
    return indexed === undefined ? ofKind : ofKind.where(indexed, '=', given[indexed])
  }
  const all = where(sqlFor.selectFrom(table))
  const whole =
    request.status !== undefined
      ? queriesOf(table, all, request.status, isPlain)
      : isPlain
        ? STATUSES[table].map(status => all.where(hasStoredStatus(status, true)))
        : [all]
  const position = isPlain || request.status === undefined ? sql.ref('id') : sql`id || ''`
  return {
    rows: newest(table, whole, position, request.starting_after),
    whole: whole.map(part => part.orderBy(position, 'desc')),
    rest,
    cursor: row => row.id,
  }
}

/** Whether a row is stored with this status. */
const hasStoredStatus = (status: string, isPlain: boolean) =>
  isPlain ? sql<boolean>`status = ${sql.lit(status)}` : sql<boolean>`status || '' = ${sql.lit(status)}`

/** Returns disjoint queries that together find every row with this status. */
function queriesOf(table: Table, all: Query, status: string, isPlain: boolean): Query[] {
  const stored = all.where(hasStoredStatus(status, isPlain))
  if (status === USABLE[table]) return [stored.where(stillUsable[table])]
  const candidates = notYetStored[table][status]
  if (!candidates) return [stored]
  const ids = all.where(candidates).where(statusNow[table], '=', status).select('id')
  return [stored, sqlFor.selectFrom(table).where('id', 'in', ids as never)]
}

/** Returns the rows of disjoint queries, newest first. */
function newest(table: Table, whole: Query[], position: Query, after: string | undefined): List<unknown>['rows'] {
  const [only, ...more] = whole.map(part => (after === undefined ? part : part.where(position, '<', after)))
  const withStatus = (query: Query): Query => query.select(storedColumns[table]).select(statusOf(table).as('status'))
  if (more.length === 0)
    return (limit, offset) => withStatus(only).orderBy(position, 'desc').limit(limit).offset(offset)
  const partOf = (part: Query, most: number): Query => {
    const ids: Query = part.select(position.as('id')).orderBy(position, 'desc').limit(most)
    return (sqlFor.selectFrom(ids.as('part')) as Query).select('id')
  }
  // Limit each part too: then the databases merge the beginnings of the parts. They read whole rows for the page only.
  const ids = (limit: number, offset: number): Query =>
    more.reduce(
      (union: Query, part: Query) => union.unionAll(partOf(part, limit + offset)),
      partOf(only, limit + offset),
    )
  return (limit, offset) =>
    withStatus(
      (sqlFor.selectFrom(table) as Query).where(
        'id',
        'in',
        ids(limit, offset).orderBy('id', 'desc').limit(limit).offset(offset),
      ),
    ).orderBy('id', 'desc')
}

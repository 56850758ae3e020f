import { sql } from 'kysely'
import type {
  IdentifierRecord,
  SessionRecord,
  TicketRecord,
  UserRecord,
  UserWithIdentifiers,
} from '../domain/records.ts'
import { type Store, Taken, type UserFilter } from '../domain/store.ts'
import { count, recorded, recordedAll } from './audit-events.ts'
import { transitionOnce } from './idempotency-keys.ts'
import { bound, type Database, given, insertInto, now, prepared, type Step, sqlFor, UniqueViolation } from './query.ts'
import { columns } from './schema.ts'

const insertUser = insertInto('users')
const insertIdentifier = insertInto('identifiers')

const userColumns = Object.keys(columns.users) as (keyof UserRecord)[]
const identifierColumns = Object.keys(columns.identifiers) as (keyof IdentifierRecord)[]

/** A row for each identifier; one without, if there is none. */
const find = prepared<{ id: string }, UserRecord & Record<`identifier ${keyof IdentifierRecord}`, unknown>>(
  sqlFor
    .selectFrom('users')
    .leftJoin('identifiers', 'identifiers.user_id', 'users.id')
    .selectAll('users')
    .select(identifierColumns.map(column => `identifiers.${column} as identifier ${column}` as const))
    .where('users.id', '=', given('id'))
    .orderBy('identifiers.position')
    .orderBy('identifiers.id') as never,
)

/** The rows of an actor who is a stored user, by id or by external id. */
const asActor = (actorSub: unknown) =>
  sqlFor
    .selectFrom('users as actors')
    .select(['actors.id', 'actors.banned_at', 'actors.locked_at'])
    .where(eb => eb.or([eb('actors.id', '=', actorSub as string), eb('actors.external_id', '=', actorSub as string)]))

/** The actor, if that is a stored user who is banned or locked. */
export const blockedActor = (actorSub: unknown) =>
  asActor(actorSub).where(eb => eb.or([eb('actors.banned_at', 'is not', null), eb('actors.locked_at', 'is not', null)]))

/**
 * The same in a statement that writes: a ban waits for it, or it waits for the ban. The limit is that of the rows there
 * can be. It keeps PostgreSQL from testing for a ban first and locking only the rows that have one.
 */
export const blockedActorLocked = (actorSub: unknown) =>
  sqlFor
    .selectFrom(asActor(actorSub).limit(2).forShare().as('actor'))
    .select('actor.id')
    .where(eb => eb.or([eb('actor.banned_at', 'is not', null), eb('actor.locked_at', 'is not', null)]))

/** The user, if the actor is that user, by id or by external id: nobody acts as themselves. */
export const selfAsActor = (userId: unknown, actorSub: unknown) =>
  asActor(actorSub).where('actors.id', '=', userId as string)

const findBlockedActor = prepared<{ actor_sub: string }>(blockedActor(given('actor_sub')))
const findSelfAsActor = prepared<{ actor_sub: string; user_id: string }>(
  selfAsActor(given('user_id'), given('actor_sub')),
)

const ban = prepared<{ id: string }, Pick<UserRecord, 'id' | 'external_id'>>(
  sqlFor
    .updateTable('users')
    .set(eb => ({ banned_at: eb.fn.coalesce('banned_at', eb.val(now)), updated_at: now }))
    .where('id', '=', given('id'))
    .returning(['id', 'external_id']),
)

const remove = prepared<{ id: string }, Pick<UserRecord, 'id' | 'external_id'>>(
  sqlFor.deleteFrom('users').where('id', '=', given('id')).returning(['id', 'external_id']),
)

const revokeSessions = prepared<{ id: string; external_id: string | null }, SessionRecord>(
  sqlFor
    .updateTable('sessions')
    .set({ status: 'revoked', updated_at: now })
    .where('status', '=', 'active')
    .where(eb =>
      eb.or([
        eb('user_id', '=', given('id')),
        eb('actor_sub', '=', given('id')),
        eb('actor_sub', '=', given('external_id')),
      ]),
    )
    .returningAll(),
)

const revokeTickets = prepared<{ id: string; external_id: string | null }, TicketRecord>(
  sqlFor
    .updateTable('tickets')
    .set({ status: 'revoked', updated_at: now })
    .where('status', '=', 'pending')
    .where(eb =>
      eb.or([
        eb('user_id', '=', given('id')),
        eb('actor_sub', '=', given('id')),
        eb('actor_sub', '=', given('external_id')),
      ]),
    )
    .returningAll(),
)

export function users(db: Database): Store['users'] {
  return {
    async insert(user, identifiers, event, once) {
      await sayTaken(db, identifiers, () =>
        transitionOnce(
          db,
          once,
          { query: insertUser(user) },
          ...identifiers.map(identifier => ({ query: insertIdentifier(identifier) })),
          recorded(event),
        ),
      )
    },

    async find(id) {
      const rows = await db.all(find({ id }))
      if (!rows[0]) return undefined
      const user = Object.fromEntries(userColumns.map(column => [column, rows[0]?.[column]])) as unknown as UserRecord
      const identifiers = rows
        .filter(row => row['identifier id'] !== null)
        .map(row => Object.fromEntries(identifierColumns.map(column => [column, row[`identifier ${column}`]])))
      return { ...user, identifiers: identifiers as unknown as IdentifierRecord[] }
    },

    async findActor(actorSub, userId) {
      const blocked = await db.get(findBlockedActor({ actor_sub: actorSub }))
      const self = await db.get(findSelfAsActor({ actor_sub: actorSub, user_id: userId }))
      return { is_user: self !== undefined, is_blocked: blocked !== undefined }
    },

    async list(filter, { limit, offset, order_by, starting_after }) {
      let query = filtered(filter)
      const descending = order_by.startsWith('-')
      const column = order_by.replace(/^[-+ ]/, '')
      const by =
        column === 'email_address' || column === 'phone_number' ? firstValue(column) : sql.ref(`users.${column}`)
      const direction = descending ? 'desc' : 'asc'
      if (starting_after !== undefined) {
        const cursor = sqlFor.selectFrom('users').where('users.id', '=', starting_after)
        const operator = descending ? '<' : '>'
        query = query.where(eb =>
          eb(
            eb.tuple(by as never, eb.ref('users.id')) as never,
            operator,
            cursor.select([by.as('by') as never, 'users.id']) as never,
          ),
        )
      }
      const rows = await db.all(
        bound(
          query
            .selectAll('users')
            .orderBy(by, order => (descending ? order.desc().nullsLast() : order.asc().nullsFirst()))
            .orderBy('users.id', direction)
            .limit(limit)
            .offset(offset),
        ),
      )
      return withIdentifiers(db, rows)
    },

    count: filter => count(db, filtered(filter)),

    async update(id, change, event, unless = {}) {
      let query = sqlFor.updateTable('users').set(change).where('id', '=', id)
      for (const [column, value] of Object.entries(unless))
        query = query.where(column as keyof UserRecord, 'is not distinct from', value)
      const changed = await sayTaken(db, [], () =>
        db.transition({ query: bound(query.returning('id')), required: true }, recorded(event)),
      )
      return changed !== undefined
    },

    async expel(id, how, event, events) {
      const revokeAll = (external_id: string | null): Step[] => [
        recorded(event),
        {
          query: revokeSessions({ id, external_id }),
          next: ended => recordedAll(ended.map(it => events.session(it as SessionRecord))),
        },
        {
          query: revokeTickets({ id, external_id }),
          next: revoked => recordedAll(revoked.map(it => events.ticket(it as TicketRecord))),
        },
      ]
      const expelled = await db.transition({
        query: how === 'ban' ? ban({ id }) : remove({ id }),
        required: true,
        revokes: true,
        next: ([user]) => revokeAll(user?.external_id ?? null),
      })
      return expelled !== undefined
    },
  }
}

function filtered(filter: UserFilter) {
  let query = sqlFor.selectFrom('users')
  if (filter.user_id) query = query.where('users.id', 'in', filter.user_id)
  if (filter.external_id) query = query.where('external_id', 'in', filter.external_id)
  if (filter.username) query = query.where('username', 'in', filter.username)
  for (const kind of ['email_address', 'phone_number'] as const) {
    const values = filter[kind]
    if (values) {
      const wanted = values.map(value => (kind === 'email_address' ? value.toLowerCase() : value))
      query = query.where('users.id', 'in', identifiersWhere(kind).where('value', 'in', wanted))
    }
    const part = filter[`${kind}_query`]
    if (part) query = query.where('users.id', 'in', identifiersWhere(kind).where(contains('value', part)))
  }
  if (filter.username_query) query = query.where(contains('username', filter.username_query))
  if (filter.name_query) query = query.where(contains(fullName, filter.name_query))
  const part = filter.query
  if (part) {
    query = query.where(eb =>
      eb.or([
        ...['users.id', 'external_id', 'username', fullName].map(column => contains(column, part)),
        eb('users.id', 'in', sqlFor.selectFrom('identifiers').select('user_id').where(contains('value', part))),
      ]),
    )
  }
  if (filter.banned !== undefined) query = query.where('banned_at', filter.banned ? 'is not' : 'is', null)
  for (const column of ['last_active_at', 'last_sign_in_at', 'created_at'] as const) {
    const before = filter[`${column}_before`]
    const after = filter[`${column}_after`]
    if (before !== undefined) query = query.where(column, '<', before)
    if (after !== undefined) query = query.where(column, '>', after)
  }
  if (filter.last_active_at_since !== undefined)
    query = query.where('last_active_at', '>=', filter.last_active_at_since)
  return query
}

const fullName = sql<string>`coalesce(first_name, '') || ' ' || coalesce(last_name, '')`

function identifiersWhere(kind: IdentifierRecord['kind']) {
  return sqlFor.selectFrom('identifiers').select('user_id').where('kind', '=', kind)
}

function firstValue(kind: IdentifierRecord['kind']) {
  return sql<string>`(select min(value) from identifiers where identifiers.user_id = users.id and kind = ${kind})`
}

/** Part of a text, whatever its case; `%` and `_` mean themselves. */
function contains(column: string | typeof fullName, part: string) {
  const pattern = `%${part.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`
  return sql<boolean>`lower(${typeof column === 'string' ? sql.ref(column) : column}) like ${pattern} escape '\\'`
}

async function withIdentifiers(db: Database, rows: UserRecord[]): Promise<UserWithIdentifiers[]> {
  if (rows.length === 0) return []
  const ids = rows.map(user => user.id)
  const all = await db.all(
    bound(sqlFor.selectFrom('identifiers').selectAll().where('user_id', 'in', ids).orderBy('position').orderBy('id')),
  )
  const of = Map.groupBy(all, identifier => identifier.user_id)
  return rows.map(user => ({ ...user, identifiers: of.get(user.id) ?? [] }))
}

/** Says which unique value is somebody else's. */
async function sayTaken<T>(db: Database, identifiers: IdentifierRecord[], change: () => Promise<T>): Promise<T> {
  try {
    return await change()
  } catch (error) {
    if (!(error instanceof UniqueViolation)) throw error
    const column = /^users\.(external_id|username)$/.exec(error.columns)?.[1]
    if (column) throw new Taken(column)
    for (const { kind, value } of identifiers) {
      if (await db.get(bound(identifiersWhere(kind).where('value', '=', value)))) throw new Taken(kind)
    }
    throw error
  }
}

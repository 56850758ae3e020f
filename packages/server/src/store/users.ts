import type { UserPage, UserPosition } from '../domain/lists.ts'
import type {
  ActorTokenRecord,
  IdentifierRecord,
  SessionRecord,
  UserRecord,
  UserWithIdentifiers,
} from '../domain/records.ts'
import { type Store, UniqueValueTaken } from '../domain/store.ts'
import { disabledActorLocked } from './actors.ts'
import { transitionOnce } from './idempotency-keys.ts'
import { count, MAX_COUNTED, readPage } from './paging.ts'
import {
  type Database,
  dynamic,
  insertInto,
  long,
  now,
  param,
  prepared,
  recordEvent,
  recordEvents,
  type Step,
  sqlFor,
  UniqueViolation,
} from './query.ts'
import { columns } from './schema.ts'
import { columnOf, identifiersWhere, userList } from './user-lists.ts'

/** Maximum users that are counted if there is no filter: an index alone is read for that. */
const MAX_USERS_COUNTED = 100_000
const FIRST_PAGE: UserPage = { limit: 1, offset: 0, order: { by: 'created_at', descending: true }, after: undefined }

const insertUser = insertInto('users')
const insertIdentifier = insertInto('identifiers')

const userColumns = Object.keys(columns.users) as (keyof UserRecord)[]
const identifierColumns = Object.keys(columns.identifiers) as (keyof IdentifierRecord)[]

/** Returns one row for each identifier, or one row without an identifier if there are none. */
const find = prepared<{ id: string }, UserRecord & Record<`identifier ${keyof IdentifierRecord}`, unknown>>(
  sqlFor
    .selectFrom('users')
    .leftJoin('identifiers', 'identifiers.user_id', 'users.id')
    .selectAll('users')
    .select(identifierColumns.map(column => `identifiers.${column} as identifier ${column}` as const))
    .where('users.id', '=', param('id'))
    .orderBy('identifiers.position')
    .orderBy('identifiers.id') as never,
)

/** The user records of an actor, by id or by external id. */
const asActor = (actorSub: unknown) =>
  sqlFor
    .selectFrom('users as actor_users')
    .select(['actor_users.id', 'actor_users.banned_at', 'actor_users.locked_at'])
    .where(eb =>
      eb.or([eb('actor_users.id', '=', actorSub as string), eb('actor_users.external_id', '=', actorSub as string)]),
    )

/** The actor's user record, if it exists and is banned or locked. */
const blockedActor = (actorSub: unknown) =>
  asActor(actorSub).where(eb =>
    eb.or([eb('actor_users.banned_at', 'is not', null), eb('actor_users.locked_at', 'is not', null)]),
  )

/**
 * The same, in a statement that writes: a ban waits for it, or it waits for the ban. There are never more rows than the
 * limit; it makes PostgreSQL lock them first and then test for a ban, not the other way round.
 */
export const blockedActorLocked = (actorSub: unknown) =>
  sqlFor
    .selectFrom(asActor(actorSub).limit(2).forShare().as('actor'))
    .select('actor.id')
    .where(eb => eb.or([eb('actor.banned_at', 'is not', null), eb('actor.locked_at', 'is not', null)]))

/** The user, if that user is the actor (by id or by external id): acting as oneself is not allowed. */
export const selfAsActor = (userId: unknown, actorSub: unknown) =>
  asActor(actorSub).where('actor_users.id', '=', userId as string)

const findBlockedActor = prepared<{ actor_sub: string }>(blockedActor(param('actor_sub')))
const findDisabledActor = prepared<{ actor_sub: string }>(disabledActorLocked(param('actor_sub')))
const findSelfAsActor = prepared<{ actor_sub: string; user_id: string }>(
  selfAsActor(param('user_id'), param('actor_sub')),
)

const ban = prepared<{ id: string }, Pick<UserRecord, 'id' | 'external_id'>>(
  sqlFor
    .updateTable('users')
    .set(eb => ({ banned_at: eb.fn.coalesce('banned_at', eb.val(now)), updated_at: now }))
    .where('id', '=', param('id'))
    .returning(['id', 'external_id']),
)

const remove = prepared<{ id: string }, Pick<UserRecord, 'id' | 'external_id'>>(
  sqlFor.deleteFrom('users').where('id', '=', param('id')).returning(['id', 'external_id']),
)

const revokeSessions = prepared<{ id: string; external_id: string | null }, SessionRecord>(
  sqlFor
    .updateTable('sessions')
    .set({ status: 'revoked', updated_at: now })
    .where('status', '=', 'active')
    .where(eb =>
      eb.or([
        eb('user_id', '=', param('id')),
        eb('actor_sub', '=', param('id')),
        eb('actor_sub', '=', param('external_id')),
      ]),
    )
    .returningAll(),
)

const revokeTickets = prepared<{ id: string; external_id: string | null }, ActorTokenRecord>(
  sqlFor
    .updateTable('actor_tokens')
    .set({ status: 'revoked', updated_at: now })
    .where('status', '=', 'pending')
    .where(eb =>
      eb.or([
        eb('user_id', '=', param('id')),
        eb('actor_sub', '=', param('id')),
        eb('actor_sub', '=', param('external_id')),
      ]),
    )
    .returningAll(),
)

export function users(db: Database): Store['users'] {
  return {
    async insert(user, identifiers, event, once) {
      const row = {
        ...user,
        first_email_address: smallest(identifiers, 'email_address'),
        first_phone_number: smallest(identifiers, 'phone_number'),
      }
      await asIdentifierExists(db, identifiers, () =>
        transitionOnce(
          db,
          once,
          { query: insertUser(row) },
          ...identifiers.map(identifier => ({ query: insertIdentifier(identifier) })),
          recordEvent(event),
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
      const blocked =
        (await db.get(findBlockedActor({ actor_sub: actorSub }))) ??
        (await db.get(findDisabledActor({ actor_sub: actorSub })))
      const self = await db.get(findSelfAsActor({ actor_sub: actorSub, user_id: userId }))
      return { is_user: self !== undefined, is_blocked: blocked !== undefined }
    },

    async list({ counted, ...filter }, page) {
      const list = await userList(db, filter, page)
      const found = await readPage(db, { ...page, counted, starting_after: page.after?.id }, list)
      return { ...found, rows: await withIdentifiers(db, found.rows) }
    },

    async position(id, by) {
      const query = sqlFor
        .selectFrom('users')
        .select(['id', `${columnOf(by)} as value`])
        .where('id', '=', id)
      return db.get(dynamic(query)) as Promise<UserPosition | undefined>
    },

    async count(filter) {
      const hasFilter = Object.values(filter).some(value => value !== undefined)
      const { whole, rest } = await userList(db, filter, FIRST_PAGE)
      return count(db, whole, rest, hasFilter ? MAX_COUNTED : MAX_USERS_COUNTED)
    },

    async update(id, change, event, unless = {}) {
      let query = sqlFor.updateTable('users').set(change).where('id', '=', id)
      for (const [column, value] of Object.entries(unless))
        query = query.where(column as keyof UserRecord, 'is not distinct from', value)
      const changed = await asIdentifierExists(db, [], () =>
        db.transition({ query: dynamic(query.returning('id')), required: true }, recordEvent(event)),
      )
      return changed !== undefined
    },

    async expel(id, how, event, events) {
      const revokeAll = (external_id: string | null): Step[] => [
        recordEvent(event),
        {
          query: revokeSessions({ id, external_id }),
          next: ended => recordEvents(ended.map(session => events.session(session as SessionRecord))),
        },
        {
          query: revokeTickets({ id, external_id }),
          next: revoked => recordEvents(revoked.map(token => events.actorToken(token as ActorTokenRecord))),
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

/**
 * Returns the value that users are ordered by. If the database orders text differently, its trigger corrects the value.
 */
function smallest(identifiers: IdentifierRecord[], kind: IdentifierRecord['kind']): string | null {
  return (
    identifiers
      .filter(identifier => identifier.kind === kind)
      .map(({ value }) => value)
      .sort()[0] ?? null
  )
}

async function withIdentifiers(db: Database, rows: UserRecord[]): Promise<UserWithIdentifiers[]> {
  if (rows.length === 0) return []
  const ids = rows.map(user => user.id)
  const query = sqlFor.selectFrom('identifiers').selectAll().where('user_id', 'in', ids)
  const ordered = query.orderBy('position').orderBy('id')
  const all = await db.all(ids.length === 1 ? dynamic(ordered) : long(ordered))
  const byUser = Map.groupBy(all, identifier => identifier.user_id)
  return rows.map(user => ({ ...user, identifiers: byUser.get(user.id) ?? [] }))
}

/** Reports which unique value is already in use. */
async function asIdentifierExists<T>(
  db: Database,
  identifiers: IdentifierRecord[],
  change: () => Promise<T>,
): Promise<T> {
  try {
    return await change()
  } catch (error) {
    if (!(error instanceof UniqueViolation)) throw error
    const column = /^users\.(external_id|username)$/.exec(error.columns)?.[1]
    if (column) throw new UniqueValueTaken(column)
    for (const { kind, value } of identifiers) {
      if (await db.get(dynamic(identifiersWhere(kind).where('value', '=', value)))) throw new UniqueValueTaken(kind)
    }
    throw error
  }
}

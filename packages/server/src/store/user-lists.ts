import { expressionBuilder, sql } from 'kysely'
import { cursorOf } from '../domain/cursor.ts'
import type { UserFilter, UserOrder, UserPage, UserPosition } from '../domain/lists.ts'
import type { IdentifierRecord } from '../domain/records.ts'
import { type Condition, count, type List, type Query } from './paging.ts'
import { type Database, sqlFor } from './query.ts'
import type { Tables, UserRow } from './schema.ts'
import { containing, type TextSearch } from './user-search.ts'

/**
 * Lists of users, in any order, from any position. Each order has an index on both databases. A page is one range of
 * that index, or two: users without a value come before all others, or after them.
 */

/** Returns the column with the values of an order. */
export const columnOf = (by: UserOrder['by']): keyof UserRow =>
  by === 'email_address' ? 'first_email_address' : by === 'phone_number' ? 'first_phone_number' : by

const alwaysSet = (by: UserOrder['by']) => by === 'created_at' || by === 'updated_at'

/**
 * Returns the queries of a list of users. An index finds the rows: that of the filter if it matches few users, that of
 * the order otherwise. Filters that the order's index does not cover are tested row by row.
 */
export async function userList(db: Database, filter: UserFilter, page: UserPage): Promise<List<UserRow>> {
  const { order, after } = page
  const { selective, ranges } = await conditionsOf(db, filter)
  // Few users are selected, so sorting them is quick, and every other filter can be tested for each.
  const covered = ({ column }: Range) => selective.length > 0 || column === columnOf(order.by)
  const conditions = [...selective, ...ranges.filter(covered).map(range => range.condition)]
  const rest = ranges.filter(range => !covered(range)).map(range => range.condition)
  const whole = matching(conditions)
  return {
    rows: (limit, offset) => ordered(whole, { order, after, limit, offset }),
    whole: [inOrder(whole, 'users', order)],
    rest,
    cursor: row => cursorOf([order.by, row[columnOf(order.by)], row.id]),
  }
}

/** Returns the ordered query, after the position of the page, with its limit. */
export function ordered(whole: Query, { order, after, limit, offset }: UserPage): Query {
  const sorted = (query: Query, most: number) => inOrder(query.selectAll('users'), 'users', order).limit(most)
  const parts = (after ? afterPosition(whole, order, after) : [whole]) as Query[]
  if (parts.length === 1) return sorted(parts[0], limit).offset(offset)
  // Limit each part too, so that few rows are sorted.
  const limited = parts.map((part, i) =>
    sqlFor.selectFrom(sorted(part, limit + offset + 1).as(`part_${i}`) as never).selectAll(),
  )
  const union: Query = limited.reduce((all: Query, part) => all.unionAll(part))
  const rows = sqlFor.selectFrom(union.as('users') as never).selectAll()
  return inOrder(rows, 'users', order).limit(limit).offset(offset)
}

function inOrder(query: Query, table: string, { by, descending }: UserOrder): Query {
  const direction = descending ? 'desc' : 'asc'
  const column = `${table}.${columnOf(by)}`
  // Without nulls, the default order of PostgreSQL matches its indexes.
  const nulls = (order: Query) => (descending ? order.desc().nullsLast() : order.asc().nullsFirst())
  return query.orderBy(column, alwaysSet(by) ? direction : nulls).orderBy(`${table}.id`, direction)
}

/** Returns what follows a position: one range of the index, or two if it contains users without a value. */
function afterPosition(query: Query, { by, descending }: UserOrder, { value, id }: UserPosition): Query[] {
  const column = sql.ref(`users.${columnOf(by)}`)
  const operator = sql.raw(descending ? '<' : '>')
  const where = (condition: ReturnType<typeof sql>) => query.where(condition)
  if (value === null) {
    const sameValue = where(sql`${column} is null and users.id ${operator} ${id}`)
    return descending ? [sameValue] : [sameValue, where(sql`${column} is not null`)]
  }
  const values = where(sql`(${column}, users.id) ${operator} (${value}, ${id})`)
  return descending && !alwaysSet(by) ? [values, where(sql`${column} is null`)] : [values]
}

/** Returns the users that meet all conditions, in no order. */
export function matching(conditions: Condition[]): Query {
  return conditions.reduce((query: Query, condition) => query.where(condition), sqlFor.selectFrom('users'))
}

const users = expressionBuilder<Tables, 'users'>()

/** A filter that an index on its column finds, and that many users can match. */
interface Range {
  column: keyof UserRow
  condition: Condition
  /** Nearly all users match it. */
  matchesMost?: boolean
}

/** Maximum users that a filter may match so that they are found by the filter, and then sorted. */
const MAX_SORTED = 2_000

/**
 * Returns the conditions of a filter.
 * @returns selective: those that match few users each. ranges: those that can match many
 */
async function conditionsOf(db: Database, filter: UserFilter): Promise<{ selective: Condition[]; ranges: Range[] }> {
  const selective = [...equalities(filter), ...(await textConditions(db, filter))]
  const ranges = [...stateConditions(db, filter), ...timeConditions(filter)]
  if (selective.length > 0) return { selective, ranges }
  const columns = Map.groupBy(ranges, range => range.column)
  for (const ofColumn of columns.values()) {
    // No index finds nearly all users faster than that of the order.
    if (ofColumn.some(({ matchesMost }) => matchesMost)) continue
    const found = matching(ofColumn.map(range => range.condition))
    const { isMinimum } = await count(db, [found], [], MAX_SORTED)
    if (!isMinimum) return { selective: [users('users.id', 'in', found.select('users.id'))], ranges }
  }
  return { selective, ranges }
}

/** Values of which each belongs to one user. */
function equalities(filter: UserFilter): Condition[] {
  const { user_id, external_id, username } = filter
  const conditions: Condition[] = []
  if (user_id) conditions.push(users('users.id', 'in', user_id))
  if (external_id) conditions.push(users('external_id', 'in', external_id))
  if (username) conditions.push(users('username', 'in', username))
  for (const kind of ['email_address', 'phone_number'] as const) {
    const values = filter[kind]
    if (values) conditions.push(users('users.id', 'in', identifiersWhere(kind).where('value', 'in', values)))
  }
  return conditions
}

/** Searches for a part of a text. Each names the columns and the kinds of identifiers that are searched. */
function textConditions(db: Database, filter: UserFilter): Promise<Condition[]> {
  const { query, username_query, name_query, email_address_query, phone_number_query } = filter
  const names = ['first_name', 'last_name'] as const
  const searches: [text: string | undefined, TextSearch][] = [
    [query, { columns: ['id', 'external_id', 'username', ...names], kinds: ['email_address', 'phone_number'] }],
    [username_query, { columns: ['username'], kinds: [] }],
    [name_query, { columns: [...names], kinds: [] }],
    [email_address_query, { columns: [], kinds: ['email_address'] }],
    [phone_number_query, { columns: [], kinds: ['phone_number'] }],
  ]
  return Promise.all(searches.flatMap(([text, search]) => (text ? [containing(db, text, search)] : [])))
}

function stateConditions(db: Database, filter: UserFilter): Range[] {
  const ranges: Range[] = []
  for (const [state, column] of [
    ['banned', 'banned_at'],
    ['locked', 'locked_at'],
  ] as const) {
    const value = filter[state]
    if (value === undefined) continue
    const is = value ? sql<boolean>`${sql.ref(column)} is not null` : sql<boolean>`${sql.ref(column)} is null`
    ranges.push({ column, condition: is, matchesMost: !value })
  }
  if (filter.protected !== undefined) {
    const isProtected = sql<boolean>`(${MENTIONS_PROTECTED} and ${db.isProtected})`
    const condition = filter.protected ? isProtected : sql<boolean>`not coalesce(${isProtected}, false)`
    ranges.push({ column: 'private_metadata', condition, matchesMost: !filter.protected })
  }
  return ranges
}

/** The condition of the index `users_protected`. */
const MENTIONS_PROTECTED = sql`replace(private_metadata, '"protected":true', '') <> private_metadata`

function timeConditions(filter: UserFilter): Range[] {
  const conditions: Range[] = []
  for (const column of ['last_active_at', 'last_sign_in_at', 'created_at'] as const) {
    const before = filter[`${column}_before`]
    const after = filter[`${column}_after`]
    if (before !== undefined) conditions.push({ column, condition: sql`${sql.ref(column)} < ${before}` })
    if (after !== undefined) conditions.push({ column, condition: sql`${sql.ref(column)} > ${after}` })
  }
  const since = filter.last_active_at_since
  if (since !== undefined) conditions.push({ column: 'last_active_at', condition: sql`last_active_at >= ${since}` })
  return conditions
}

export function identifiersWhere(kind: IdentifierRecord['kind']) {
  return sqlFor.selectFrom('identifiers').select('user_id').where('kind', '=', kind)
}

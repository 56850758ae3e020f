import { type Expression, expressionBuilder, type SqlBool, sql } from 'kysely'
import { emailParts, normalPhone } from '../domain/identifiers.ts'
import type { IdentifierRecord } from '../domain/records.ts'
import type { UserFilter, UserOrder, UserPage, UserPosition } from '../domain/store.ts'
import { sqlFor } from './query.ts'
import type { Tables, UserRow } from './schema.ts'

/**
 * Lists of users, in any order, from any position. Each order has an index on both databases. A page is one range of
 * that index, or two: users without a value come before all others, or after them.
 */

// biome-ignore lint/suspicious/noExplicitAny: over users, joined with nothing
type Query = any

/** Returns the column with the values of an order. */
export const columnOf = (by: UserOrder['by']): keyof UserRow =>
  by === 'email_address' ? 'first_email_address' : by === 'phone_number' ? 'first_phone_number' : by

const alwaysSet = (by: UserOrder['by']) => by === 'created_at' || by === 'updated_at'

/** Returns the ordered query, after the position of the page, with its limit. */
export function userRows(filter: UserFilter, { order, after, limit, offset }: UserPage): Query {
  const sorted = (query: Query, most: number) => inOrder(query.selectAll('users'), 'users', order).limit(most)
  const parts = (after ? afterPosition(filtered(filter), order, after) : [filtered(filter)]) as Query[]
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

/** Returns the users that match, in no order. */
export function filtered(filter: UserFilter) {
  const conditions = [
    ...equalities(filter),
    ...identifierConditions(filter),
    ...textConditions(filter),
    ...timeConditions(filter),
  ]
  return conditions.reduce((query, condition) => query.where(condition), sqlFor.selectFrom('users'))
}

type Condition = Expression<SqlBool>

const users = expressionBuilder<Tables, 'users'>()

function equalities({ user_id, external_id, username, banned }: UserFilter): Condition[] {
  const conditions: Condition[] = []
  if (user_id) conditions.push(users('users.id', 'in', user_id))
  if (external_id) conditions.push(users('external_id', 'in', external_id))
  if (username) conditions.push(users('username', 'in', username))
  if (banned !== undefined) conditions.push(users('banned_at', banned ? 'is not' : 'is', null))
  return conditions
}

function identifierConditions(filter: UserFilter): Condition[] {
  const conditions: Condition[] = []
  for (const kind of ['email_address', 'phone_number'] as const) {
    const values = filter[kind]
    if (values) conditions.push(users('users.id', 'in', identifiersWhere(kind).where('value', 'in', values)))
    const part = filter[`${kind}_query`]
    if (part) {
      const parts = kind === 'email_address' ? emailParts(part) : [part, normalPhone(part) || part]
      conditions.push(users('users.id', 'in', identifiersWhere(kind).where(containsAny('value', parts))))
    }
  }
  return conditions
}

function textConditions({ username_query, name_query, query }: UserFilter): Condition[] {
  const conditions: Condition[] = []
  if (username_query) conditions.push(contains('username', username_query.normalize('NFC')))
  if (name_query) conditions.push(contains(fullName, name_query))
  if (query) {
    const withIdentifier = sqlFor
      .selectFrom('identifiers')
      .select('user_id')
      .where(containsAny('value', emailParts(query)))
    conditions.push(
      users.or([
        ...['users.id', fullName].map(column => contains(column, query)),
        ...['external_id', 'username'].map(column => contains(column, query.normalize('NFC'))),
        users('users.id', 'in', withIdentifier),
      ]),
    )
  }
  return conditions
}

function timeConditions(filter: UserFilter): Condition[] {
  const conditions: Condition[] = []
  for (const column of ['last_active_at', 'last_sign_in_at', 'created_at'] as const) {
    const before = filter[`${column}_before`]
    const after = filter[`${column}_after`]
    if (before !== undefined) conditions.push(users(column, '<', before))
    if (after !== undefined) conditions.push(users(column, '>', after))
  }
  const since = filter.last_active_at_since
  if (since !== undefined) conditions.push(users('last_active_at', '>=', since))
  return conditions
}

const fullName = sql<string>`coalesce(first_name, '') || ' ' || coalesce(last_name, '')`

export function identifiersWhere(kind: IdentifierRecord['kind']) {
  return sqlFor.selectFrom('identifiers').select('user_id').where('kind', '=', kind)
}

/** Matches a part of a text, in upper or lower case. `%` and `_` have no special meaning. */
function contains(column: string | typeof fullName, part: string) {
  const pattern = (text: string) => `%${text.replace(/[\\%_]/g, '\\$&')}%`
  const value = typeof column === 'string' ? sql.ref(column) : column
  const inLowerCase = sql<boolean>`lower(${value}) like ${pattern(part.toLowerCase())} escape '\\'`
  // Databases change the case of ASCII letters only. Other letters are also matched exactly as written.
  const ascii = /^[\x20-\x7e]*$/.test(part)
  return ascii ? inLowerCase : sql<boolean>`(${inLowerCase} or ${value} like ${pattern(part)} escape '\\')`
}

function containsAny(column: string, parts: string[]) {
  return sql<boolean>`(${sql.join(
    [...new Set(parts)].map(part => contains(column, part)),
    sql` or `,
  )})`
}

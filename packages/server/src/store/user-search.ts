import { type SqlBool, sql } from 'kysely'
import { emailParts, normalPhone } from '../domain/identifiers.ts'
import type { IdentifierRecord } from '../domain/records.ts'
import type { Condition } from './paging.ts'
import { type Database, long, sqlFor } from './query.ts'
import type { UserRow } from './schema.ts'

/**
 * Search for a part of a text in the fields of users. An index of groups of three characters finds the users
 * (`user_search`), so a shorter text is searched at the beginning of fields only, with the indexes of these fields.
 */

/** Maximum users that a search considers: those that were added last. */
export const MAX_FOUND = 250
/** The same for texts of one or two characters, per field. */
const MAX_FOUND_SHORT = 250
/** Length of the texts that the index consists of. */
const INDEXED_LENGTH = 3

/** The columns of users, and the kinds of identifiers, that a search looks at. */
export interface TextSearch {
  columns: ('id' | 'external_id' | 'username' | 'first_name' | 'last_name')[]
  kinds: IdentifierRecord['kind'][]
}

/**
 * Finds the users of whom a field contains the text, in upper or lower case.
 * @returns a condition with their ids. As a sub-query they would let PostgreSQL choose a plan that reads many other users
 */
export async function containing(db: Database, text: string, search: TextSearch): Promise<Condition> {
  const forms = formsOf(text, search)
  const short = forms.filter(form => [...form].length < INDEXED_LENGTH)
  const isShort = short.length > 0
  const found = isShort ? beginningWith(short, search) : db.usersWithText(forms, MAX_FOUND)
  const ids = (await db.all(long<{ id: string }>(sql`select id from ${found} as found`))).map(({ id }) => id)
  if (ids.length === 0) return NEVER
  const those = withId(ids)
  return isShort ? those : sql<SqlBool>`(${those} and (${or(await exactly(db, forms, search, ids))}))`
}

const withId = (ids: string[]) => sql<SqlBool>`users.id in (${sql.join(ids)})`

/** Returns the forms in which the fields may store a text. */
function formsOf(text: string, { kinds }: TextSearch): string[] {
  const forms = [text, text.normalize('NFC')]
  if (kinds.includes('email_address')) forms.push(...emailParts(text))
  if (kinds.length === 1 && kinds[0] === 'phone_number') forms.push(normalPhone(text) || text)
  return [...new Set(forms)].filter(form => form !== '')
}

/** Returns conditions that test the fields themselves: the index finds users who have the text in any field. */
async function exactly(db: Database, forms: string[], { columns, kinds }: TextSearch, ids: string[]) {
  const fields = columns.filter(column => !NAMES.has(column)).map(column => sql.ref(`users.${column}`))
  if (columns.some(column => NAMES.has(column))) fields.push(fullName as never)
  const conditions: Condition[] = fields.flatMap(field => forms.map(form => contains(field, form)))
  if (kinds.length === 0) return conditions
  const value = or(forms.map(form => contains(sql.ref('value'), form)))
  const owners = sqlFor
    .selectFrom('identifiers')
    .select('user_id')
    .where('user_id', 'in', ids)
    .where('kind', 'in', kinds)
  const found = await db.all(long(owners.where(sql<boolean>`(${value})`)))
  if (found.length > 0) conditions.push(withId(found.map(({ user_id }) => user_id)))
  return conditions.length > 0 ? conditions : [NEVER]
}

const NEVER = sql<SqlBool>`1 = 0`

const NAMES: ReadonlySet<string> = new Set(['first_name', 'last_name'])

const fullName = sql<string>`(coalesce(users.first_name, '') || ' ' || coalesce(users.last_name, ''))`

/** Whether a field contains the text. `%` and `_` have no special meaning. */
function contains(field: ReturnType<typeof sql.ref>, text: string) {
  const pattern = (part: string) => `%${part.replace(/[\\%_]/g, '\\$&')}%`
  const inLowerCase = sql<SqlBool>`lower(${field}) like ${pattern(text.toLowerCase())} escape '\\'`
  // Databases change the case of ASCII letters only. Other letters are also matched exactly as written.
  const ascii = /^[\x20-\x7e]*$/.test(text)
  return ascii ? inLowerCase : sql<SqlBool>`(${inLowerCase} or ${field} like ${pattern(text)} escape '\\')`
}

/** Returns SQL for the ids of users of whom a field begins with the text. */
function beginningWith(forms: string[], { columns, kinds }: TextSearch) {
  const beginnings = new Set(forms.flatMap(casesOf))
  const ranges = [...beginnings].flatMap(beginning => [
    // Every id begins with `user_`.
    ...columns.filter(column => column !== 'id').map(column => rangeOfUsers(column, beginning)),
    ...kinds.map(kind => rangeOfIdentifiers(kind, beginning)),
  ])
  return sql`(select distinct id from (${sql.join(ranges, sql` union all `)}) as each_field limit ${2 * MAX_FOUND})`
}

/** A text after every text that begins with it. */
const endOf = (beginning: string) => `${beginning}\u{10ffff}`

function rangeOfUsers(column: keyof UserRow, beginning: string) {
  const range = sqlFor
    .selectFrom('users as found')
    .select('found.id')
    .where(`found.${column}`, '>=', beginning)
    .where(`found.${column}`, '<', endOf(beginning))
    .limit(MAX_FOUND_SHORT)
  return sql`select id from ${range} as found`
}

function rangeOfIdentifiers(kind: IdentifierRecord['kind'], beginning: string) {
  const range = sqlFor
    .selectFrom('identifiers')
    .select('user_id')
    .where('kind', '=', kind)
    .where('value', '>=', beginning)
    .where('value', '<', endOf(beginning))
    .limit(MAX_FOUND_SHORT)
  return sql`select user_id as id from ${range} as found`
}

/** Returns a text of one or two characters in every combination of upper and lower case. */
function casesOf(text: string): string[] {
  return [...text].reduce<string[]>(
    (all, letter) =>
      [...new Set([letter.toLowerCase(), letter.toUpperCase()])].flatMap(each => all.map(so => so + each)),
    [''],
  )
}

const or = (conditions: Condition[]) => sql.join(conditions, sql` or `)

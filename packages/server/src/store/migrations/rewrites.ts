import type BetterSqlite3 from 'better-sqlite3'
import type pg from 'pg'
import { normalEmail, normalExternalId, normalUsername } from '../../domain/identifiers.ts'

/**
 * Changes values in a way that SQL cannot express, as a part of a migration. A value is left as it is if another row
 * already has the new one: two users are never merged.
 */
export interface Rewrite {
  table: 'users' | 'identifiers'
  column: string
  /** SQL condition that selects the rows. */
  where: string
  name: string
  normal(value: string): string
}

/** Matches values that may have to be rewritten: all except printable ASCII without capital letters. */
const SUSPECT = /[^!-@[-~]/

export const identifierRewrites: Rewrite[] = [
  { table: 'users', column: 'external_id', where: 'true', name: 'normal_external_id', normal: normalExternalId },
  { table: 'users', column: 'username', where: 'true', name: 'normal_username', normal: normalUsername },
  { table: 'identifiers', column: 'value', where: "kind = 'email_address'", name: 'normal_email', normal: normalEmail },
]

export function rewriteOnSqlite(db: BetterSqlite3.Database, { table, column, where, name, normal }: Rewrite): void {
  db.function(name, { deterministic: true }, value => normal(String(value)))
  db.exec(
    `update or ignore ${table} set ${column} = ${name}(${column})
     where ${where} and ${column} is not null and ${column} <> ${name}(${column})`,
  )
}

/** Works in batches, because there may be many rows. */
export async function rewriteOnPostgres(
  client: pg.ClientBase,
  { table, column, where, normal }: Rewrite,
): Promise<void> {
  let after = ''
  for (;;) {
    const { rows } = await client.query<{ id: string; value: string }>(
      `select id, ${column} as value from ${table} where ${where} and id > $1 and ${column} ~ $2 order by id limit 1000`,
      [after, SUSPECT.source],
    )
    for (const { id, value } of rows) {
      if (normal(value) === value) continue
      await client.query(
        `update ${table} set ${column} = $2
         where id = $1 and not exists (select from ${table} other where ${where} and other.${column} = $2)`,
        [id, normal(value)],
      )
    }
    const last = rows.at(-1)
    if (!last) return
    after = last.id
  }
}

import { type RawBuilder, sql } from 'kysely'

/** Returns SQL for the users whose searched text contains one of the texts: `Database.usersWithText`. */
export function usersWithText(texts: string[], limit: number): RawBuilder<unknown> {
  // `ilike` ignores the case of ASCII letters only, so other letters are also searched in lower case.
  const patterns = new Set(texts.flatMap(text => [text, text.toLowerCase()]).map(pattern))
  const conditions = [...patterns].map(each => sql`content ilike ${each}`)
  return sql`(select user_id as id from user_search where ${sql.join(conditions, sql` or `)} order by n desc limit ${limit})`
}

const pattern = (text: string) => `%${text.replace(/[\\%_]/g, '\\$&')}%`

/** `Database.isProtected`. */
export const isProtected: RawBuilder<boolean> = sql<boolean>`(private_metadata::json #> '{stagedoor,protected}')::text = 'true'`

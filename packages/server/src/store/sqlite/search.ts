import { type RawBuilder, sql } from 'kysely'

/** Returns SQL for the users whose searched text contains one of the texts: `Database.usersWithText`. */
export function usersWithText(texts: string[], limit: number): RawBuilder<unknown> {
  // A phrase in quotes: every group of three characters of the text, one after the other.
  const phrases = texts.map(text => `"${text.replaceAll('"', '""')}"`).join(' OR ')
  return sql`(select user_id as id from user_search where n in (select rowid from user_search_index
    where user_search_index match ${phrases} order by rowid desc limit ${limit}))`
}

/** `Database.isProtected`. */
export const isProtected: RawBuilder<boolean> = sql<boolean>`json_extract(private_metadata, '$.stagedoor.protected') = 1`

import type { Migration } from './migration.ts'
import { identifierRewrites } from './rewrites.ts'

/**
 * Stores identifiers in the form in which they are searched: in NFC, usernames in lower case, domains of e-mail
 * addresses in ASCII.
 */
export const migration: Migration = {
  name: '0008_identifiers',
  tables: '',
  rewrites: identifierRewrites,
}

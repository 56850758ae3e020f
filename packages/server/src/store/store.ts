import type { Store } from '../domain/store.ts'
import { auditEvents, refusedRequests } from './audit-events.ts'
import { clients } from './clients.ts'
import { jwtTemplates } from './jwt-templates.ts'
import { secretKeys, signingKeys } from './keys.ts'
import { bound, sqlFor } from './query.ts'
import { sessions } from './sessions.ts'
import { Sqlite } from './sqlite.ts'
import { tickets } from './tickets.ts'
import { users } from './users.ts'

/** Brings the schema at a path up to date. @returns what was done */
export function migrateSqlite(path: string): string[] {
  const db = new Sqlite(path)
  try {
    return db.migrate()
  } finally {
    void db.close()
  }
}

/** Opens the embedded store at a path and brings its schema up to date. */
export function openSqliteStore(path: string): Store {
  const db = new Sqlite(path)
  try {
    db.migrate()
  } catch (error) {
    void db.close()
    throw error
  }
  return {
    tickets: tickets(db),
    sessions: sessions(db),
    clients: clients(db),
    users: users(db),
    jwtTemplates: jwtTemplates(db),
    secretKeys: secretKeys(db),
    signingKeys: signingKeys(db),
    audit: auditEvents(db),
    refusedRequests: refusedRequests(db),

    async instance(create) {
      const query = bound(sqlFor.selectFrom('instance').select(['id', 'created_at']))
      const found = await db.get(query)
      if (found) return found
      const row = { ...create(), keyring_version: 0 }
      await db.transition({
        query: bound(
          sqlFor
            .insertInto('instance')
            .columns(['id', 'created_at', 'keyring_version'])
            .expression(
              sqlFor
                .selectNoFrom(eb => [
                  eb.val(row.id).as('id'),
                  eb.val(row.created_at).as('created_at'),
                  eb.val(0).as('keyring_version'),
                ])
                .where(eb => eb.not(eb.exists(eb.selectFrom('instance').select('id')))),
            ),
        ),
      })
      return (await db.get(query)) ?? row
    },

    async ping() {
      db.ping()
    },

    check: async () => db.check(),
    close: () => db.close(),
  }
}

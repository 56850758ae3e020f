/** This folder implements the Store port on SQL: one file per noun, and one folder per database. */

import type { Clock } from '../domain/clock.ts'
import { systemClock } from '../domain/random.ts'
import type { Store } from '../domain/store.ts'
import { acting } from './acting.ts'
import { actorTokens } from './actor-tokens.ts'
import { actors } from './actors.ts'
import { auditEvents, refusedRequests } from './audit-events.ts'
import { auditLog } from './audit-log.ts'
import { clients } from './clients.ts'
import { groups } from './groups.ts'
import { idempotencyKeys } from './idempotency-keys.ts'
import { jwtTemplates } from './jwt-templates.ts'
import { operatorSessions } from './operator-sessions.ts'
import { operators } from './operators.ts'
import { policies } from './policies.ts'
import { Postgres } from './postgres/postgres.ts'
import { purge } from './purge.ts'
import { dynamic, sqlFor } from './query.ts'
import { reevaluation } from './reevaluation.ts'
import { revocations } from './revocations.ts'
import { secretKeys } from './secret-keys.ts'
import { sessions } from './sessions.ts'
import { signingKeys } from './signing-keys.ts'
import { Sqlite } from './sqlite/sqlite.ts'
import { users } from './users.ts'

export interface StoreOptions {
  /** Decides what has expired. Default: the machine's clock for SQLite, the database's own clock for PostgreSQL. */
  clock?: Clock
  /** Maximum connections to PostgreSQL. */
  poolSize?: number
  /** Whether the database is opened to serve requests. A SQLite file has only one server at a time. */
  serves?: boolean
  /** Called with a warning for the operator. */
  warn?: (message: string) => void
}

/** Brings the schema of a database up to date. @returns the names of the migrations that ran */
export async function migrate(databaseUrl: string): Promise<string[]> {
  const db = await open(databaseUrl, {})
  try {
    return await db.migrate()
  } finally {
    await db.close()
  }
}

/**
 * Opens a database and brings its schema up to date.
 * @param databaseUrl `sqlite:` and a path, or `postgres://…`
 */
export async function openStore(databaseUrl: string, options: StoreOptions = {}): Promise<Store> {
  const db = await open(databaseUrl, options)
  try {
    await db.migrate()
    if (db instanceof Postgres) await db.assertGrants()
    return storeOn(db)
  } catch (error) {
    await db.close()
    throw error
  }
}

async function open(databaseUrl: string, options: StoreOptions): Promise<Sqlite | Postgres> {
  return databaseUrl.startsWith('sqlite:')
    ? new Sqlite(databaseUrl.slice('sqlite:'.length), options.clock ?? systemClock, options)
    : Postgres.open(databaseUrl, options)
}

function storeOn(db: Sqlite | Postgres): Store {
  return {
    actorTokens: actorTokens(db),
    sessions: sessions(db),
    acting: acting(db),
    clients: clients(db),
    users: users(db),
    actors: actors(db),
    groups: groups(db),
    policies: policies(db),
    reevaluation: reevaluation(db),
    jwtTemplates: jwtTemplates(db),
    secretKeys: secretKeys(db),
    operators: operators(db),
    operatorSessions: operatorSessions(db),
    signingKeys: signingKeys(db),
    revocations: revocations(db),
    idempotencyKeys: idempotencyKeys(db),
    purge: purge(db),
    audit: auditEvents(db),
    auditLog: auditLog(db),
    refusedRequests: refusedRequests(db),
    clock: db.clock,

    async instance(create) {
      const query = dynamic(sqlFor.selectFrom('instance').select(['id', 'created_at']))
      const found = await db.get(query)
      if (found) return found
      const row = { ...create(), keyring_version: 0 }
      await db.transition({
        query: dynamic(
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
            )
            // If two nodes start at the same time on PostgreSQL, a unique index allows only one row.
            .onConflict(conflict => conflict.doNothing()),
        ),
      })
      return (await db.get(query)) ?? row
    },

    onCommitted: db.onCommitted.bind(db),
    waiting: db.waiting.bind(db),
    load: db.load.bind(db),
    ping: db.ping.bind(db),
    check: db.check.bind(db),
    risks: db.risks.bind(db),
    close: db.close.bind(db),
  }
}

import { createServer } from 'node:http'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { toNodeHandler } from 'better-auth/node'
import { admin } from 'better-auth/plugins'
import Sqlite from 'better-sqlite3'
import pg from 'pg'
import { answer } from '../child.ts'

/**
 * Runs better-auth with its admin plugin, as it is documented, over node:http. `BENCH_DATABASE` is a file or a postgres: URL.
 * Nothing else is switched on; its rate limit is off, as Stagedoor's is. Reports its port, the cookie of an admin, and the
 * users that the admin may impersonate.
 */

const where = process.env.BENCH_DATABASE
const USERS = 200
const OLIVIA = 'olivia@example.com'

function sqlite() {
  const database = new Sqlite(where)
  // WAL survives a power failure, and is faster than SQLite's default, a journal that is deleted at each commit.
  if (process.env.BENCH_WAL) database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  return database
}

const options = {
  baseURL: 'http://127.0.0.1',
  secret: process.env.BENCH_SECRET,
  database: where.startsWith('postgres:') ? new pg.Pool({ connectionString: where, max: 20 }) : sqlite(),
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { level: 'error' },
  plugins: [admin()],
}
const { runMigrations } = await getMigrations(options)
await runMigrations()
const auth = betterAuth(options)
const { adapter, internalAdapter } = await auth.$context

const users = await Promise.all(
  Array.from({ length: USERS }, (_, i) =>
    internalAdapter.createUser({ email: `user${i}@example.com`, name: 'A user', emailVerified: true }),
  ),
)
const signedUp = await auth.api.signUpEmail({
  body: { email: OLIVIA, password: process.env.BENCH_SECRET, name: 'Olivia' },
  returnHeaders: true,
})
await adapter.update({ model: 'user', where: [{ field: 'email', value: OLIVIA }], update: { role: 'admin' } })
const cookie = signedUp.headers
  .getSetCookie()
  .map(line => line.split(';')[0])
  .join('; ')

const server = createServer(toNodeHandler(auth))
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address()

answer(() => ({ port, cookie, users: users.map(user => user.id) }))

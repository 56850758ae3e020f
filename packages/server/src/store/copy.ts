import { createHash } from 'node:crypto'
import BetterSqlite3 from 'better-sqlite3'
import pg from 'pg'
import { migrations } from './migrations/index.ts'
import { wholeNumbers } from './postgres/postgres.ts'
import { HostLock } from './sqlite/host-lock.ts'
import { type Moved, markMoved } from './sqlite/moved.ts'
import { ServerLock } from './sqlite/server-lock.ts'

/** Maximum rows per statement. */
const BATCH = 200

/** Every table, and the key that identifies and orders its rows. A table comes after those that it refers to. */
const TABLES: Record<string, string> = {
  instance: 'id',
  users: 'id',
  identifiers: 'id',
  actors: 'sub',
  groups: 'kind, name',
  policies: 'version',
  actor_tokens: 'id',
  clients: 'id',
  sessions: 'id',
  jwt_templates: 'id',
  secret_keys: 'id',
  operators: 'id',
  operator_sessions: 'id',
  operator_sign_ins: 'secret_hash',
  operator_links: 'secret_hash',
  operator_passkeys: 'id',
  signing_keys: 'id',
  audit_events: 'seq',
  audit_tree: 'id',
  audit_runs: 'first_index',
  audit_tiles: 'level, tile',
  audit_checkpoints: 'size',
  audit_keys: 'id',
  refused_requests: 'minute, address, code',
  cutoffs: 'scope, subject',
  idempotency_keys: 'owner, operation, key_hash',
}

export interface CopyProgress {
  table: string
  copied: number
  of: number
}

/** Wraps the opening of each database, so that errors name it. */
export interface Opening {
  source: <T>(open: () => T) => Promise<T>
  target: <T>(open: () => Promise<T>) => Promise<T>
}

/**
 * Copies a whole instance from an embedded database into an empty PostgreSQL database, compares the two row by row, and
 * marks the source as moved. All of it is one transaction in the target: if anything fails, or the process is killed,
 * the target is as empty as before. During the copy, no process can write to the source and no server can use it.
 * @param path the embedded database's file; its schema must be up to date
 * @param url the PostgreSQL database; its schema must be up to date
 * @param moved the content of the mark
 * @returns rows copied, by table
 */
export async function copySqliteToPostgres(
  path: string,
  url: string,
  moved: Moved,
  progress: (at: CopyProgress) => void,
  opening: Opening,
): Promise<Record<string, number>> {
  const release = await opening.source(() => lock(path))
  const source = new BetterSqlite3(path, { fileMustExist: true })
  const target = new pg.Client({ connectionString: url, types: wholeNumbers, application_name: 'stagedoor migrate' })
  try {
    assertNoLaterVersion(source)
    source.exec('begin immediate')
    await opening.target(() => target.connect())
    await target.query('begin')
    // The rows keep their versions (0016_actors).
    await target.query("set local stagedoor.copying = 'on'")
    // Serializes concurrent copies into one database.
    await target.query('lock table instance in exclusive mode')
    const { rows } = await target.query('select id from instance')
    if (rows.length > 0)
      throw new Error(`The target is not empty: it has the instance ${rows[0].id}. Use a new, empty database.`)
    const copied: Record<string, number> = {}
    for (const [table, key] of Object.entries(TABLES))
      copied[table] = await copyTable(source, target, { table, key }, progress)
    await target.query(
      "select setval(pg_get_serial_sequence('audit_events', 'seq'), (select coalesce(max(seq), 0) + 1 from audit_events), false)",
    )
    // Mark the source first: whatever fails now, the two databases are never both usable.
    markMoved(source, moved)
    source.exec('commit')
    await target.query('commit').catch(cause => {
      throw new Error(
        `${cause.message}. It is not known whether the copy was completed. If ${moved.target} is still empty, run \`stagedoor migrate --take-back\` on the source and move again.`,
        { cause },
      )
    })
    return copied
  } finally {
    await target.end().catch(() => {})
    source.close()
    release()
  }
}

/** Prevents every server from using the source. @returns a function that ends this */
function lock(path: string): () => void {
  const host = new HostLock(path)
  try {
    const server = new ServerLock(path)
    return () => {
      server.release()
      host.release()
    }
  } catch (error) {
    host.release()
    throw error
  }
}

function assertNoLaterVersion(source: BetterSqlite3.Database): void {
  const known = new Set(migrations.map(migration => migration.name))
  const later = (source.prepare('select name from migrations').pluck().all() as string[]).filter(
    name => !known.has(name),
  )
  if (later.length > 0)
    throw new Error(`The source was created by a later version of Stagedoor (it has ${later.join(', ')}).`)
}

async function copyTable(
  source: BetterSqlite3.Database,
  target: pg.Client,
  { table, key }: { table: string; key: string },
  progress: (at: CopyProgress) => void,
): Promise<number> {
  const hash = createHash('sha256')
  const of = source.prepare(`select count(*) from ${table}`).pluck().get() as number
  let copied = 0
  let batch: Row[] = []
  const write = async () => {
    if (batch.length === 0) return
    await target.query(insertion(table, batch))
    copied += batch.length
    progress({ table, copied, of })
    batch = []
  }
  for (const row of source.prepare(`select * from ${table} order by ${key}`).iterate() as Iterable<Row>) {
    hash.update(canonical(row))
    if (batch.push(row) === BATCH) await write()
  }
  await write()
  const [there, count] = await hashOf(target, table, key)
  if (there !== hash.digest('hex') || count !== of)
    throw new Error(`The rows of ${table} in the target differ from the source. The copy was undone.`)
  return copied
}

type Row = Record<string, unknown>

/** Encodes a row with its columns sorted by name: the two databases may have them in different orders. */
const canonical = (row: Row) =>
  `${JSON.stringify(
    Object.keys(row)
      .sort()
      .map(name => [name, row[name]]),
  )}\n`

function insertion(table: string, rows: Row[]): pg.QueryConfig {
  const names = Object.keys(rows[0] ?? {})
  const values: unknown[] = []
  const places = rows.map(row => `(${names.map(name => `$${values.push(row[name])}`).join(', ')})`)
  return { text: `insert into ${table} (${names.join(', ')}) values ${places.join(', ')}`, values }
}

/** Reads the rows back, page by page, and hashes them. */
async function hashOf(target: pg.Client, table: string, key: string): Promise<[hash: string, count: number]> {
  const hash = createHash('sha256')
  let count = 0
  await target.query(`declare rows no scroll cursor for select * from ${table} order by ${key}`)
  for (;;) {
    const { rows } = await target.query<Row>('fetch 1000 from rows')
    if (rows.length === 0) break
    for (const row of rows) hash.update(canonical(row))
    count += rows.length
  }
  await target.query('close rows')
  return [hash.digest('hex'), count]
}

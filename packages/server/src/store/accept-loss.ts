import BetterSqlite3 from 'better-sqlite3'
import pg from 'pg'
import type { PreparedLoss } from '../domain/audit/keys.ts'
import { wholeNumbers } from './postgres/postgres.ts'
import { columns } from './schema.ts'
import { HostLock } from './sqlite/host-lock.ts'
import { ServerLock } from './sqlite/server-lock.ts'

/** Tables of the tree, whose triggers refuse these changes. */
const TABLES = ['audit_tree', 'audit_runs', 'audit_tiles', 'audit_checkpoints'] as const

/** Runs one statement. Its parameters are `$1`, `$2`, …, each used once and in this order. */
type Run = (sql: string, values?: unknown[]) => Promise<Record<string, unknown>[]>

/**
 * Removes the end of a tree, in one transaction. The events stay: the sequencer adds them again, in the tree of a new name.
 * @param databaseUrl `sqlite:` and a path, whose server must not run, or `postgres://…` of the owner of the tables
 */
export async function acceptLoss(databaseUrl: string, loss: PreparedLoss): Promise<void> {
  if (databaseUrl.startsWith('sqlite:')) await onSqlite(databaseUrl.slice('sqlite:'.length), loss)
  else await onPostgres(databaseUrl, loss)
}

async function onSqlite(path: string, loss: PreparedLoss): Promise<void> {
  const host = new HostLock(path)
  try {
    const server = new ServerLock(path)
    const db = new BetterSqlite3(path, { fileMustExist: true })
    try {
      db.pragma('synchronous = FULL')
      db.exec('begin immediate')
      const triggers = db
        .prepare(
          `select name, sql from sqlite_schema where type = 'trigger' and tbl_name in (${TABLES.map(() => '?').join()})`,
        )
        .all(...TABLES) as { name: string; sql: string }[]
      for (const { name } of triggers) db.exec(`drop trigger ${name}`)
      await change(async (text, values = []) => {
        const statement = db.prepare(text.replace(/\$\d+/g, '?'))
        if (statement.reader) return statement.all(...values) as Record<string, unknown>[]
        statement.run(...values)
        return []
      }, loss)
      for (const { sql } of triggers) db.exec(sql)
      db.exec('commit')
    } finally {
      db.close()
      server.release()
    }
  } finally {
    host.release()
  }
}

async function onPostgres(url: string, loss: PreparedLoss): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    types: wholeNumbers,
    application_name: 'stagedoor accept-loss',
  })
  await client.connect()
  try {
    await client.query('begin')
    await client.query('lock table audit_tree in exclusive mode')
    for (const table of TABLES) await client.query(`alter table ${table} disable trigger user`)
    await change(async (text, values) => (await client.query(text, values)).rows, loss)
    for (const table of TABLES) await client.query(`alter table ${table} enable trigger user`)
    await client.query('commit')
  } finally {
    await client.end().catch(() => {})
  }
}

async function change(run: Run, { from, root, key, events }: PreparedLoss): Promise<void> {
  await run('delete from audit_runs where first_index >= $1', [from])
  await run('update audit_runs set count = $1 - first_index where first_index + count > $2', [from, from])
  for (let level = 0, width = 256; width <= Number.MAX_SAFE_INTEGER; level++, width *= 256)
    await run('delete from audit_tiles where level = $1 and tile >= $2', [level, Math.floor(from / width)])
  await run('delete from audit_checkpoints where size > $1', [from])
  const runs = await run('select first_seq, count from audit_runs order by first_seq')
  const { last_seq, holes } = gapsOf(runs as { first_seq: number; count: number }[])
  await run(
    `update audit_tree set origin = $1, size = $2, root = $3, last_seq = $4, holes = $5,
      first = case when first > $6 then $7 else first end`,
    [key.name, from, root, last_seq, JSON.stringify(holes), from, from - (from % 256)],
  )
  await run('update audit_keys set retired_at = $1, sealed_private_key = null where retired_at is null', [
    key.created_at,
  ])
  await insert(run, 'audit_keys', key)
  for (const event of events) await insert(run, 'audit_events', event)
}

/** Returns the rows that have no position any more, as holes: an event in a hole is added at the next tick. */
function gapsOf(runs: readonly { first_seq: number; count: number }[]) {
  const holes: { seq: number; count: number; noticed: number }[] = []
  let next = 1
  for (const { first_seq, count } of runs) {
    if (first_seq > next) holes.push({ seq: next, count: first_seq - next, noticed: 0 })
    next = first_seq + count
  }
  return { last_seq: next - 1, holes }
}

async function insert(run: Run, table: 'audit_keys' | 'audit_events', record: object): Promise<void> {
  const names = Object.keys(columns[table])
  const places = names.map((_, i) => `$${i + 1}`)
  await run(
    `insert into ${table} (${names.join(', ')}) values (${places.join(', ')})`,
    names.map(name => (record as Record<string, unknown>)[name]),
  )
}

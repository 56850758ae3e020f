import { closeSync, openSync } from 'node:fs'
import BetterSqlite3 from 'better-sqlite3'
import { type RootOperationNode, SqliteQueryCompiler } from 'kysely'
import type { Clock } from '../../domain/clock.ts'
import { StoreUnavailable } from '../../domain/store.ts'
import { assertKnown, migrations, sqliteOf } from '../migrations/index.ts'
import type { Migration } from '../migrations/migration.ts'
import { rewriteOnSqlite } from '../migrations/rewrites.ts'
import { type BoundQuery, bindAll, type Database, isPrepared, type Step, UniqueViolation } from '../query.ts'
import { Ballast } from './ballast.ts'
import { Acknowledged } from './high-water-mark.ts'
import { HostLock } from './host-lock.ts'
import { assertNotMoved } from './moved.ts'
import { ServerLock } from './server-lock.ts'

/** Maximum writes per commit. */
const MAX_BATCH = 512
/** Timeout for another process that is writing, in ms. */
const BUSY_TIMEOUT = 2_000
/** Interval between retries while it is writing, in ms. */
const BUSY_RETRY = 2
/** Bytes of the file that are memory-mapped: the maximum that SQLite maps (docs/decisions/0014). */
const MAPPED = 0x7fff0000
const DAMAGED =
  'If it is the right file, it is damaged: restore it from a backup, or copy what is left with `sqlite3 … .recover`.'
const NO_ROOM = 'the disk is full: until space is free again, only changes that revoke or end something are stored'

/**
 * Writes `+?` for `?`. The value is the same, but for a bare parameter SQLite (STAT4) assumes that the query plan may
 * depend on it, and then plans many queries again at each run, which takes twenty times as long as running them.
 */
class QueryCompiler extends SqliteQueryCompiler {
  protected override getCurrentParameterPlaceholder(): string {
    return '+?'
  }

  /** Omits row locks: this database has only one writer at a time. */
  protected override visitSelectModifier(): void {}
}

interface Read {
  run: () => unknown
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
}

interface Write extends Read {
  revokes: boolean
}

/**
 * The embedded SQLite database. Every commit is on disk before its caller gets an answer (WAL, synchronous=FULL).
 * Writes that arrive in the same turn of the event loop are committed together, each in its own savepoint: if one write
 * fails, the others still commit; if the commit fails, all of its batch fail. Reads of the same turn run one after the
 * other, and so do their callers afterwards: that takes half the processor time of alternating between them.
 */
export class Sqlite implements Database {
  readonly #db: BetterSqlite3.Database
  readonly clock: Clock
  readonly #compiler = new QueryCompiler()
  readonly #compiled = new WeakMap<RootOperationNode, Compiled>()
  readonly #control = new Map<string, BetterSqlite3.Statement<unknown[]>>()
  readonly #listeners = new Set<() => void>()
  readonly #ballast: Ballast | undefined
  readonly #host: HostLock | undefined
  readonly #server: ServerLock | undefined
  readonly #acknowledged: Acknowledged | undefined
  /** Set once the database is migrated: before, there is no table of events. */
  #lastEvent: BetterSqlite3.Statement<[], number> | undefined
  #reads: Read[] = []
  #waiting: Write[] = []
  #scheduled = false
  #busySince: number | undefined
  #closed = false

  /**
   * @param path a file, created if it does not exist, readable only by its owner; or `:memory:`
   * @param clock decides what has expired
   * @param options.serves whether this is the file's one server, and not a command
   */
  constructor(path: string, clock: Clock, { serves = false } = {}) {
    this.clock = clock
    if (path !== ':memory:') {
      closeSync(openSync(path, 'a', 0o600))
      this.#host = new HostLock(path)
    }
    try {
      if (serves && path !== ':memory:') this.#server = new ServerLock(path)
      this.#db = new BetterSqlite3(path, { timeout: BUSY_TIMEOUT })
      sayingWhatToDo(() => this.#db.pragma('journal_mode = WAL'))
    } catch (error) {
      this.#server?.release()
      this.#host?.release()
      throw error
    }
    if (path !== ':memory:') {
      this.#ballast = new Ballast(path)
      this.#acknowledged = new Acknowledged(path)
    }
    this.#db.pragma('synchronous = FULL')
    this.#db.pragma('foreign_keys = ON')
    this.#db.pragma('trusted_schema = OFF')
    // Sorting and sub-queries in memory: no temporary file ever holds a row.
    this.#db.pragma('temp_store = MEMORY')
    this.#db.pragma(`mmap_size = ${MAPPED}`)
  }

  /** Brings the schema up to date. @returns the names of the migrations that ran */
  async migrate(): Promise<string[]> {
    const done = sayingWhatToDo(() => this.#migrate())
    this.#assertSchema()
    assertNotMoved(this.#db)
    this.#lastEvent = this.#db
      .prepare<[], number>("select coalesce(max(seq), 0) from sqlite_sequence where name = 'audit_events'")
      .pluck()
    this.#acknowledged?.assertIn(this.#lastEvent.get() ?? 0)
    return done
  }

  /**
   * Checks the schema: one flipped bit in the name of a column would change the results of queries, and SQLite would
   * not notice.
   */
  #assertSchema(): void {
    const schemaOf = (db: BetterSqlite3.Database) =>
      db.prepare("select name || ' ' || sql from sqlite_schema where sql is not null").pluck().all() as string[]
    const applied = this.#db.prepare('select name from migrations').pluck().all() as string[]
    // A later version has added to the schema, and this version does not know what.
    if (applied.length > migrations.length) return
    const fresh = new BetterSqlite3(':memory:')
    for (const migration of migrations) fresh.exec(sqliteOf(migration))
    const wanted = schemaOf(fresh)
    fresh.close()
    const found = new Set(schemaOf(this.#db))
    const [missing] = wanted.filter(entry => !found.has(entry))
    if (missing !== undefined)
      throw new Error(`its schema differs from the one it was created with (${missing.split(' ')[0]}). ${DAMAGED}`)
  }

  #migrate(): string[] {
    this.#db.exec('create table if not exists migrations (name text primary key, applied_at text not null) strict')
    return this.#db
      .transaction(() => {
        const applied = new Set(this.#db.prepare('select name from migrations').pluck().all() as string[])
        assertKnown(applied)
        const pending = migrations.filter(migration => !applied.has(migration.name))
        for (const migration of pending) {
          this.#change(migration)
          this.#db.prepare("insert into migrations values (?, datetime('now'))").run(migration.name)
        }
        return pending.map(migration => migration.name)
      })
      .immediate()
  }

  /** Applies a migration. If it does not fit, it has already been applied, and the list of migrations has lost it. */
  #change(migration: Migration): void {
    try {
      this.#db.exec(sqliteOf(migration))
      for (const rewrite of migration.rewrites ?? []) rewriteOnSqlite(this.#db, rewrite)
    } catch (cause) {
      if (!(cause instanceof BetterSqlite3.SqliteError) || cause.code !== 'SQLITE_ERROR') throw cause
      throw new Error(`its schema does not match its list of migrations (${cause.message}). ${DAMAGED}`, { cause })
    }
  }

  get<R>(query: BoundQuery<R>): Promise<R | undefined> {
    return this.#read(() =>
      this.#guarded(() => {
        const { statement, parameters } = this.#compile(query)
        return statement.get(this.#values(parameters, query)) as R | undefined
      }),
    )
  }

  all<R>(query: BoundQuery<R>): Promise<R[]> {
    return this.#read(() => this.#rows(query))
  }

  transition<R>(first: Step<R>, ...more: Step[]): Promise<R[] | undefined> {
    return this.#write(() => {
      const rows = this.#step(first)
      for (const step of more) this.#step(step)
      return rows
    }, first.revokes).catch(error => {
      if (error instanceof NoRowMatched) return undefined
      throw error
    })
  }

  /**
   * Calls the listener after every commit of this process, which may be a revocation. Commits of other processes are
   * not reported.
   */
  onRevocation(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Only writes wait. There is no pool of connections, and SQLite calls are synchronous: a slow disk blocks the event
   * loop.
   */
  load(): Record<string, number> {
    return { waiting: this.#waiting.length }
  }

  waiting(): { length: number; oldest: number } {
    return { length: 0, oldest: 0 }
  }

  async ping(): Promise<void> {
    this.#guarded(() => this.#run('select 1'))
  }

  async check(): Promise<string[]> {
    const found = this.#db.pragma('quick_check(10)') as { quick_check: string }[]
    const damage = found.map(row => row.quick_check).filter(text => text !== 'ok')
    const durable = this.#db.pragma('synchronous', { simple: true }) === 2
    return durable ? damage : [...damage, 'commits do not wait for the disk']
  }

  /** There is one machine and one disk, so no standby can take over and lose data. */
  async risks(): Promise<string[]> {
    return []
  }

  /** Reads and writes what is waiting, then closes. */
  async close(): Promise<void> {
    this.#closed = true
    this.#readAll()
    while (this.#waiting.length > 0) this.#commit()
    this.#db.close()
    this.#acknowledged?.close()
    this.#server?.release()
    this.#host?.release()
  }

  #read<T>(run: () => T): Promise<T> {
    if (this.#closed) return Promise.reject(new StoreUnavailable('the database is closed', { reading: true }))
    return new Promise<T>((resolve, reject) => {
      if (this.#reads.length === 0) setImmediate(() => this.#readAll())
      this.#reads.push({ run, resolve: resolve as Read['resolve'], reject })
    })
  }

  #readAll(): void {
    const reads = this.#reads
    this.#reads = []
    for (const { run, resolve, reject } of reads) {
      try {
        resolve(run())
      } catch (error) {
        reject(error)
      }
    }
  }

  #write<T>(run: () => T, revokes = false): Promise<T> {
    if (this.#closed) return Promise.reject(new StoreUnavailable('the database is closed'))
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ run, revokes, resolve: resolve as Write['resolve'], reject })
      this.#schedule()
    })
  }

  #schedule(delay = 0): void {
    if (this.#scheduled) return
    this.#scheduled = true
    const commit = () => {
      this.#scheduled = false
      this.#commit()
    }
    if (delay > 0) setTimeout(commit, delay)
    else setImmediate(commit)
  }

  #commit(): void {
    const batch = this.#waiting.splice(0, MAX_BATCH)
    if (batch.length === 0) return
    this.#together(this.#ballast?.isSpent() ? onlyRevoking(batch, new StoreUnavailable(NO_ROOM)) : batch)
    if (this.#waiting.length > 0) this.#schedule()
  }

  #together(batch: Write[]): void {
    if (batch.length === 0) return
    const answers: (() => void)[] = []
    try {
      this.#begin()
      for (const { run, resolve, reject } of batch) {
        this.#run('savepoint item')
        try {
          const value = run()
          answers.push(() => resolve(value))
        } catch (error) {
          // A full disk or a failed write may have rolled back the whole transaction, not only this item.
          if (!this.#db.inTransaction || isA(error, 'SQLITE_FULL')) throw error
          this.#run('rollback to item')
          answers.push(() => reject(translated(error)))
        }
        this.#run('release item')
      }
      this.#run('commit')
      this.#remember()
    } catch (error) {
      if (this.#db.inTransaction) this.#run('rollback')
      const failure = translated(error)
      if (isA(error, 'SQLITE_BUSY') && this.#mayWait()) {
        this.#waiting.unshift(...batch)
        this.#schedule(BUSY_RETRY)
      } else if (isA(error, 'SQLITE_FULL') && this.#ballast?.release()) {
        this.#together(onlyRevoking(batch, failure))
      } else for (const { reject } of batch) reject(failure)
      return
    }
    for (const answer of answers) answer()
    for (const listener of this.#listeners) listener()
  }

  /** Stores the number of the last event. The commit is valid even if this fails. */
  #remember(): void {
    try {
      if (this.#lastEvent) this.#acknowledged?.note(this.#lastEvent.get() ?? 0)
    } catch {
      // The next commit stores a later number.
    }
  }

  /**
   * Begins a write transaction. Does not wait for another process that is writing: SQLite would block all reads during
   * that time.
   */
  #begin(): void {
    if (!this.#closed) this.#db.pragma('busy_timeout = 0')
    try {
      this.#run('begin immediate')
    } finally {
      this.#db.pragma(`busy_timeout = ${BUSY_TIMEOUT}`)
    }
    this.#busySince = undefined
  }

  #mayWait(): boolean {
    this.#busySince ??= performance.now()
    if (!this.#closed && performance.now() - this.#busySince < BUSY_TIMEOUT) return true
    this.#busySince = undefined
    return false
  }

  #step<R>(step: Step<R>): R[] {
    const rows = this.#rows(step.query)
    if (step.required && rows.length === 0) throw new NoRowMatched()
    for (const next of step.next?.(rows) ?? []) this.#step(next)
    return rows
  }

  #rows<R>(query: BoundQuery<R>): R[] {
    return this.#guarded(() => {
      const { statement, parameters } = this.#compile(query)
      const values = this.#values(parameters, query)
      if (statement.reader) return statement.all(values) as R[]
      statement.run(values)
      return []
    })
  }

  #guarded<T>(run: () => T): T {
    this.#host?.assertHeld()
    try {
      return run()
    } catch (error) {
      throw translated(error)
    }
  }

  #values(parameters: readonly unknown[], { args }: BoundQuery): unknown[] {
    return bindAll(parameters, args, () => this.clock.now())
  }

  #compile(query: BoundQuery): Compiled {
    const known = this.#compiled.get(query.node)
    if (known) return known
    const { sql, parameters } = this.#compiler.compileQuery(query.node, { queryId: '' })
    const compiled = { statement: this.#db.prepare<unknown[]>(sql), parameters }
    if (isPrepared(query)) this.#compiled.set(query.node, compiled)
    return compiled
  }

  #run(sql: string): void {
    let statement = this.#control.get(sql)
    if (!statement) {
      statement = this.#db.prepare<unknown[]>(sql)
      this.#control.set(sql, statement)
    }
    if (statement.reader) statement.get()
    else statement.run()
  }
}

interface Compiled {
  statement: BetterSqlite3.Statement<unknown[]>
  parameters: readonly unknown[]
}

/** Adds to the error of a damaged file what to do about it. */
function sayingWhatToDo<T>(open: () => T): T {
  try {
    return open()
  } catch (cause) {
    if (!(cause instanceof BetterSqlite3.SqliteError) || !/^SQLITE_(CORRUPT|NOTADB)/.test(cause.code)) throw cause
    throw new Error(`${cause.message}. ${DAMAGED}`, { cause })
  }
}

/** Returns the writes that revoke something and rejects the others: the reserved space is for revocations. */
function onlyRevoking(batch: Write[], failure: unknown): Write[] {
  for (const { revokes, reject } of batch) if (!revokes) reject(failure)
  return batch.filter(({ revokes }) => revokes)
}

function isA(error: unknown, code: 'SQLITE_FULL' | 'SQLITE_BUSY'): boolean {
  const found = error instanceof StoreUnavailable ? error.cause : error
  return found instanceof BetterSqlite3.SqliteError && found.code === code
}

/** A required step changed nothing: the transition did not happen. */
class NoRowMatched extends Error {}

/** Converts database errors to the domain's errors. Any other error is a bug and stays as it is. */
function translated(error: unknown): unknown {
  if (!(error instanceof BetterSqlite3.SqliteError)) return error
  if (error.code === 'SQLITE_CONSTRAINT_UNIQUE' || error.code === 'SQLITE_CONSTRAINT_PRIMARYKEY') {
    return new UniqueViolation(error.message.replace('UNIQUE constraint failed: ', ''), error)
  }
  if (/^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB|PROTOCOL)/.test(error.code)) {
    return new StoreUnavailable(`${error.code}: ${error.message}`, { cause: error })
  }
  return error
}

/** This folder stores the data in a SQLite file, for one server on one machine. */

import { closeSync, openSync } from 'node:fs'
import BetterSqlite3 from 'better-sqlite3'
import { type RootOperationNode, SqliteQueryCompiler } from 'kysely'
import type { Clock } from '../../domain/clock.ts'
import type { AuditRecord } from '../../domain/records.ts'
import { StoreUnavailable } from '../../domain/store.ts'
import {
  type BoundQuery,
  bindAll,
  type CommitListener,
  CommitListeners,
  type Database,
  isPrepared,
  NoRowMatched,
  type Step,
} from '../query.ts'
import { Ballast } from './ballast.ts'
import { toDomainError, withDamageAdvice } from './errors.ts'
import { BUSY_TIMEOUT, GroupCommit, type Progress } from './group-commit.ts'
import { HighWaterMark } from './high-water-mark.ts'
import { HostLock } from './host-lock.ts'
import { assertSchema, migrateSqlite } from './migrate.ts'
import { assertNotMoved } from './moved.ts'
import { Reader } from './reader.ts'
import { isProtected, usersWithText } from './search.ts'
import { ServerLock } from './server-lock.ts'

/** Bytes of the file that are memory-mapped: the maximum that SQLite maps (docs/decisions/0014). */
const MAPPED = 0x7fff0000

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

export interface SqliteOptions {
  serves?: boolean
  warn?: (message: string) => void
}

/**
 * The embedded SQLite database. Every commit is on disk before its caller gets an answer (WAL, synchronous=FULL).
 * Writes that arrive in the same turn of the event loop are committed together: if one write fails, the others still
 * commit; if the commit fails, all of its batch fail. Reads of the same turn run one after the other, and so do their
 * callers afterwards: that takes half the processor time of alternating between them.
 */
export class Sqlite implements Database {
  readonly #db: BetterSqlite3.Database
  readonly clock: Clock
  readonly #compiler = new QueryCompiler()
  readonly #compiled = new WeakMap<RootOperationNode, Compiled>()
  readonly #writes: GroupCommit
  readonly #commits: CommitListeners
  readonly #revocationListeners = new Set<() => void>()
  readonly #ballast: Ballast | undefined
  readonly #host: HostLock | undefined
  readonly #server: ServerLock | undefined
  /** Undefined in a command, which has no other requests that could wait. */
  readonly #reader: Reader | undefined
  readonly #highWaterMark: HighWaterMark | undefined
  /** Set once the database is migrated: before, there is no table of events. */
  #lastEvent: BetterSqlite3.Statement<[], number> | undefined
  #reads: Read[] = []
  #isClosed = false

  /**
   * @param path a file, created if it does not exist, readable only by its owner; or `:memory:`
   * @param clock decides what has expired
   * @param options.serves whether this is the file's one server, and not a command
   * @param options.warn is called with a warning for the operator
   */
  constructor(path: string, clock: Clock, { serves = false, warn = () => {} }: SqliteOptions = {}) {
    this.clock = clock
    if (path !== ':memory:') {
      closeSync(openSync(path, 'a', 0o600))
      this.#host = new HostLock(path)
    }
    try {
      if (serves && path !== ':memory:') this.#server = new ServerLock(path)
      this.#db = new BetterSqlite3(path, { timeout: BUSY_TIMEOUT })
      withDamageAdvice(() => this.#db.pragma('journal_mode = WAL'))
    } catch (error) {
      this.#server?.release()
      this.#host?.release()
      throw error
    }
    if (path !== ':memory:') {
      this.#ballast = new Ballast(path)
      this.#highWaterMark = new HighWaterMark(path)
      if (serves) this.#reader = new Reader({ path, timeout: BUSY_TIMEOUT, mapped: MAPPED })
    }
    this.#commits = new CommitListeners(warn)
    this.#writes = new GroupCommit(this.#db, this.#ballast, events => this.#onCommit(events))
    this.#db.pragma('synchronous = FULL')
    this.#db.pragma('foreign_keys = ON')
    this.#db.pragma('trusted_schema = OFF')
    // Sorting and sub-queries in memory: no temporary file ever holds a row.
    this.#db.pragma('temp_store = MEMORY')
    this.#db.pragma(`mmap_size = ${MAPPED}`)
  }

  /** Brings the schema up to date. @returns the names of the migrations that ran */
  async migrate(): Promise<string[]> {
    const names = withDamageAdvice(() => migrateSqlite(this.#db))
    assertSchema(this.#db)
    assertNotMoved(this.#db)
    this.#lastEvent = this.#db
      .prepare<[], number>("select coalesce(max(seq), 0) from sqlite_sequence where name = 'audit_events'")
      .pluck()
    this.#highWaterMark?.assertReachedBy(this.#lastEvent.get() ?? 0)
    return names
  }

  get<R>(query: BoundQuery<R>): Promise<R | undefined> {
    if (query.isLong && this.#reader) return this.#readElsewhere(this.#reader, query, true).then(([row]) => row)
    return this.#read(() =>
      this.#guarded(() => {
        const { statement, parameters } = this.#compile(query)
        return statement.get(this.#values(parameters, query)) as R | undefined
      }),
    )
  }

  all<R>(query: BoundQuery<R>): Promise<R[]> {
    if (query.isLong && this.#reader) return this.#readElsewhere(this.#reader, query, false)
    return this.#read(() => this.#rows(query))
  }

  readonly usersWithText = usersWithText
  readonly isProtected = isProtected

  async transition<R>(first: Step<R>, ...more: Step[]): Promise<R[] | undefined> {
    try {
      return await this.#writes.add(progress => {
        const rows = this.#step(first, progress)
        for (const step of more) this.#step(step, progress)
        return rows
      }, first.revokes === true)
    } catch (error) {
      if (error instanceof NoRowMatched) return undefined
      throw error
    }
  }

  /**
   * Calls the listener after every commit of this process, which may be a revocation. Commits of other processes are
   * not reported.
   */
  onRevocation(listener: () => void): () => void {
    this.#revocationListeners.add(listener)
    return () => this.#revocationListeners.delete(listener)
  }

  /** As above: every commit may have extended the tree. */
  onAuditTree(listener: () => void): () => void {
    return this.onRevocation(listener)
  }

  /** There is one writer at a time, so numbers become visible in their order. */
  async openTransactions(): Promise<{ now: number; since: null }> {
    return { now: this.clock.now(), since: null }
  }

  /** Transitions that are committed together are reported together. */
  onCommitted(listener: CommitListener): () => void {
    return this.#commits.add(listener)
  }

  /**
   * Only writes wait. There is no pool of connections, and SQLite calls are synchronous: a slow disk blocks the event
   * loop.
   */
  load(): Record<string, number> {
    return { waiting: this.#writes.length }
  }

  waiting(): { length: number; oldest: number } {
    return { length: 0, oldest: 0 }
  }

  async ping(): Promise<void> {
    this.#guarded(() => this.#db.prepare('select 1').get())
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
    this.#isClosed = true
    this.#readAll()
    this.#writes.close()
    await this.#reader?.close()
    this.#db.close()
    this.#highWaterMark?.close()
    this.#server?.release()
    this.#host?.release()
  }

  #read<T>(run: () => T): Promise<T> {
    if (this.#isClosed) return Promise.reject(new StoreUnavailable('the database is closed', { reading: true }))
    return new Promise<T>((resolve, reject) => {
      if (this.#reads.length === 0) setImmediate(() => this.#readAll())
      this.#reads.push({ run, resolve: resolve as Read['resolve'], reject })
    })
  }

  async #readElsewhere<R>(reader: Reader, query: BoundQuery<R>, first: boolean): Promise<R[]> {
    if (this.#isClosed) throw new StoreUnavailable('the database is closed', { reading: true })
    if (this.#host?.takenBy) this.#host.assertHeld()
    const { sql, parameters } = this.#compiler.compileQuery(query.node, { queryId: '' })
    try {
      return (await reader.read(sql, this.#values(parameters, query), first)) as R[]
    } catch (error) {
      throw toDomainError(error)
    }
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

  #onCommit(events: readonly AuditRecord[]): void {
    this.#raiseHighWaterMark()
    this.#commits.report(events)
    for (const listener of this.#revocationListeners) listener()
  }

  /** Stores the number of the last event. The commit is valid even if this fails. */
  #raiseHighWaterMark(): void {
    try {
      if (this.#lastEvent) this.#highWaterMark?.write(this.#lastEvent.get() ?? 0)
    } catch {
      // The next commit stores a later number.
    }
  }

  #step<R>(step: Step<R>, progress: Progress): R[] {
    const rows = this.#rows(step.query, progress)
    if (step.required && rows.length === 0) throw new NoRowMatched()
    if (step.events) progress.events.push(...step.events)
    for (const next of step.next?.(rows) ?? []) this.#step(next, progress)
    return rows
  }

  #rows<R>(query: BoundQuery<R>, progress?: Progress): R[] {
    return this.#guarded(() => {
      const { statement, parameters } = this.#compile(query)
      const values = this.#values(parameters, query)
      const rows = statement.reader ? (statement.all(values) as R[]) : []
      const changes = statement.reader ? rows.length : statement.run(values).changes
      if (progress && changes > 0) progress.hasChanged = true
      return rows
    })
  }

  #guarded<T>(run: () => T): T {
    if (this.#host?.takenBy) this.#host.assertHeld()
    try {
      return run()
    } catch (error) {
      throw toDomainError(error)
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
}

interface Compiled {
  statement: BetterSqlite3.Statement<unknown[]>
  parameters: readonly unknown[]
}

/** This folder stores the data in PostgreSQL, for one or several nodes. */

import type { RootOperationNode } from 'kysely'
import pg from 'pg'
import type { Clock } from '../../domain/clock.ts'
import type { AuditRecord } from '../../domain/records.ts'
import { StoreUnavailable } from '../../domain/store.ts'
import {
  type BoundQuery,
  type CommitListener,
  CommitListeners,
  type Database,
  isPrepared,
  NoRowMatched,
  type Step,
} from '../query.ts'
import { type ClockReading, READ_CLOCK } from './clock.ts'
import { Connections } from './connections.ts'
import { duringCommit, isAnswer, rejectsStartupParameters, withAdvice } from './errors.ts'
import { assertGrants } from './grants.ts'
import { failoverRisks, problemsOf } from './health.ts'
import { Notifications } from './listen.ts'
import { migratePostgres } from './migrate.ts'
import { type Args, ReadBatcher, type Send } from './read-batch.ts'
import { isProtected, usersWithText } from './search.ts'
import { type Statement, Statements } from './statements.ts'

/** Timeout of a statement, in ms. */
const STATEMENT_TIMEOUT = 5_000
/** Timeout for a row lock that another transaction holds, in ms. */
const LOCK_TIMEOUT = 2_000
/** Timeout for a free or a new connection, in ms. */
const CONNECT_TIMEOUT = 3_000
/** Timeout for an answer, in ms. PostgreSQL's own timeouts come first, so only a dead connection reaches this one. */
const ANSWER_TIMEOUT = STATEMENT_TIMEOUT + 1_000
/** Interval between reads of the database's clock, in ms. */
const CLOCK_INTERVAL = 1_000
/**
 * Maximum statements of one query that run at the same time. Later reads wait and are sent together as the next
 * statement.
 */
const MAX_RUNNING_READS = 2

export interface PostgresOptions {
  /** Maximum connections. */
  poolSize?: number
  /** Decides what has expired, instead of the database's own clock: for tests. */
  clock?: Clock
  /** Called with a warning for the operator. */
  warn?: (message: string) => void
}

/**
 * The PostgreSQL database. A transition is one statement and one round trip if its steps allow it. The database's clock
 * decides what has expired. No data is cached here between requests.
 */
export class Postgres implements Database {
  /** The database's clock: its last reading, advanced by this machine's monotonic clock. */
  readonly clock: Clock
  readonly #connections: Connections
  readonly #statements: Statements
  /** Pending reads, by query. */
  readonly #reads = new WeakMap<RootOperationNode, ReadBatcher>()
  readonly #revocations: Notifications
  readonly #auditTree: Notifications
  readonly #commits: CommitListeners
  readonly #timer: NodeJS.Timeout
  /** How far the database's clock is ahead of `performance.now()`, in ms. */
  #ahead = 0

  private constructor(config: pg.PoolConfig, { clock, warn = () => {} }: PostgresOptions) {
    this.clock = clock ?? { now: () => Math.floor(performance.now() + this.#ahead) }
    this.#connections = new Connections(config, () => this.clock.now(), warn)
    this.#statements = new Statements(clock !== undefined)
    this.#revocations = new Notifications(config, 'stagedoor_revocations')
    this.#auditTree = new Notifications(config, 'stagedoor_audit')
    this.#commits = new CommitListeners(warn)
    this.#timer = setInterval(() => this.#readClock().catch(() => {}), CLOCK_INTERVAL).unref()
  }

  /** @param url `postgres://user:password@host:5432/database?sslmode=verify-full` */
  static async open(url: string, options: PostgresOptions = {}): Promise<Postgres> {
    const limits = {
      statement_timeout: STATEMENT_TIMEOUT,
      lock_timeout: LOCK_TIMEOUT,
      idle_in_transaction_session_timeout: ANSWER_TIMEOUT,
    }
    const config: pg.PoolConfig = {
      connectionString: url,
      max: options.poolSize ?? 10,
      connectionTimeoutMillis: CONNECT_TIMEOUT,
      idleTimeoutMillis: 60_000,
      query_timeout: ANSWER_TIMEOUT,
      keepAlive: true,
      application_name: 'stagedoor',
      types: wholeNumbers,
    }
    try {
      return await Postgres.#connected({ ...config, ...limits }, options)
    } catch (error) {
      if (!rejectsStartupParameters(error)) throw withAdvice(error)
    }
    // A pooler that does not pass on startup parameters: the limits must then be set on the role.
    options.warn?.(
      'The connection pooler in front of PostgreSQL drops time limits. Set them on the role: see docs/operating.md.',
    )
    try {
      return await Postgres.#connected(config, options)
    } catch (error) {
      throw withAdvice(error)
    }
  }

  static async #connected(config: pg.PoolConfig, options: PostgresOptions): Promise<Postgres> {
    const db = new Postgres(config, options)
    try {
      await db.#readClock()
      return db
    } catch (error) {
      await db.close()
      throw error
    }
  }

  /** Brings the schema up to date. @returns the names of the migrations that ran */
  migrate(): Promise<string[]> {
    return migratePostgres(this.#connections)
  }

  /**
   * Finds missing grants at the start, not at the first request that needs them. @throws Error with the statements to
   * run
   */
  assertGrants(): Promise<void> {
    return assertGrants(this.#connections)
  }

  async get<R>(query: BoundQuery<R>): Promise<R | undefined> {
    return (await this.all(query))[0]
  }

  /** Reads all rows. The busier the database, the more reads share one statement. */
  all<R>(query: BoundQuery<R>): Promise<R[]> {
    if (!isPrepared(query)) return this.#readAlone(query)
    let reads = this.#reads.get(query.node)
    if (!reads) {
      reads = new ReadBatcher(MAX_RUNNING_READS, this.#sender(query.node), this.#connections.waiting)
      this.#reads.set(query.node, reads)
    }
    return reads.read(query.args) as Promise<R[]>
  }

  /**
   * Runs a read in a statement of its own. It changes nothing, so it is retried on another connection if this one is
   * lost.
   */
  #readAlone<R>(query: BoundQuery<R>): Promise<R[]> {
    const statement = this.#statements.of(query)
    return this.#connections.withRetry(true, client => this.#connections.run<R>(client, statement, [query.args]))
  }

  /** Returns a function that runs a query for many sets of values with one statement. */
  #sender(node: RootOperationNode): Send {
    const one = this.#statements.of({ node, args: {} })
    let several: Statement | undefined
    return async take => {
      let sets: Args[] = []
      try {
        return await this.#connections.withRetry(true, async client => {
          sets = take()
          const [only = {}] = sets
          if (sets.length === 1) return [await this.#connections.run(client, one, [only])]
          several ??= this.#statements.ofSeveral({ node, args: {} })
          return this.#readSeveral(client, several, sets)
        })
      } catch (error) {
        // One failing read must not fail the others: run each one alone.
        if (sets.length < 2 || error instanceof StoreUnavailable) throw error
        return sets.map(args => this.#readAlone({ node, args }))
      }
    }
  }

  /** @returns the rows for each set of values */
  async #readSeveral(client: pg.PoolClient, statement: Statement, sets: Args[]): Promise<unknown[][]> {
    const arrays = Object.fromEntries(Object.keys(sets[0] ?? {}).map(name => [name, sets.map(args => args[name])]))
    const found: unknown[][] = sets.map(() => [])
    const rows = await this.#connections.run<{ read_number: number }>(client, statement, [arrays])
    for (const { read_number, ...row } of rows) found[read_number - 1]?.push(row)
    return found
  }

  readonly usersWithText = usersWithText
  readonly isProtected = isProtected

  async transition<R>(first: Step<R>, ...more: Step[]): Promise<R[] | undefined> {
    const steps = [first as Step, ...more]
    const statement = this.#statements.ofTransition(steps)
    if (!statement) {
      const done = await this.#connections.withRetry(false, client => this.#runOneByOne(client, steps))
      if (done) this.#commits.report(done.events)
      return done?.rows as R[] | undefined
    }
    const args = steps.map(step => step.query.args)
    const rows = await this.#connections.withRetry(false, client => this.#connections.run<R>(client, statement, args))
    if (first.required && rows.length === 0) return undefined
    this.#commits.report(steps.flatMap(step => step.events ?? []))
    return rows
  }

  /** Runs the steps in a transaction. @returns undefined if a required step matched no row */
  async #runOneByOne(
    client: pg.PoolClient,
    [first, ...more]: Step[],
  ): Promise<{ rows: unknown[]; events: AuditRecord[] } | undefined> {
    const events: AuditRecord[] = []
    const run = async (step: Step): Promise<unknown[]> => {
      const rows = await this.#connections.run(client, this.#statements.of(step.query), [step.query.args])
      if (step.required && rows.length === 0) throw new NoRowMatched()
      if (step.events) events.push(...step.events)
      for (const next of step.next?.(rows) ?? []) await run(next)
      return rows
    }
    await client.query('begin')
    try {
      const rows = first ? await run(first) : []
      for (const step of more) await run(step)
      await client.query('commit').catch(error => Promise.reject(duringCommit(error)))
      return { rows, events }
    } catch (error) {
      if (error instanceof NoRowMatched || isAnswer(error)) await client.query('rollback')
      if (error instanceof NoRowMatched) return undefined
      throw error
    }
  }

  /**
   * Uses LISTEN and NOTIFY. While that connection is lost no notifications arrive; after a reconnect every listener is
   * called once.
   */
  onRevocation(listener: () => void): () => void {
    return this.#revocations.add(listener)
  }

  /** As above. */
  onAuditTree(listener: () => void): () => void {
    return this.#auditTree.add(listener)
  }

  /**
   * A transaction takes the number of its event first, and commits later or never. Only sessions of this role count, because
   * a role does not see the transactions of others. Every prepared transaction counts as one that never ends.
   */
  async openTransactions(): Promise<{ now: number; since: number | null }> {
    const [row] = await this.#connections.withRetry(true, client =>
      this.#connections.run<{ now: number; since: number | null }>(
        client,
        { sql: OPEN_TRANSACTIONS, parameters: [] },
        [],
      ),
    )
    return row ?? { now: this.clock.now(), since: 0 }
  }

  /** Reports transactions in the order in which PostgreSQL answers, which may differ from the order of the commits. */
  onCommitted(listener: CommitListener): () => void {
    return this.#commits.add(listener)
  }

  async ping(): Promise<void> {
    await this.#readClock()
  }

  check(): Promise<string[]> {
    return problemsOf(this.#connections)
  }

  risks(): Promise<string[]> {
    return failoverRisks(this.#connections)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#revocations.close()
    this.#auditTree.close()
    await this.#connections.close()
  }

  /**
   * Reads the database's clock, taken to be the time halfway between request and answer. Also checks whether commits
   * get through.
   */
  async #readClock(): Promise<void> {
    const asked = performance.now()
    const [row] = await this.#connections.withRetry(true, client =>
      this.#connections.run<ClockReading>(client, { sql: READ_CLOCK, parameters: [] }, []),
    )
    const answered = performance.now()
    if (!row) return
    this.#ahead = row.now - (asked + answered) / 2
    this.#connections.rejectsWrites = row.unconfirmed
  }

  load(): Record<string, number> {
    return this.#connections.load()
  }

  waiting(): { length: number; oldest: number } {
    const [first] = this.#connections.waiting
    return { length: this.#connections.waitingRequests(), oldest: first ? performance.now() - first.since : 0 }
  }
}

const OPEN_TRANSACTIONS = `select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as now,
  case when exists (select 1 from pg_prepared_xacts where database = current_database()) then 0
    else (select floor(extract(epoch from min(xact_start)) * 1000)::bigint from pg_stat_activity
      where usename in (current_user, session_user) and datname = current_database() and pid <> pg_backend_pid())
  end as since`

const INT8 = 20

/** Reads `bigint` as a number: all stored integers are below 2^53. */
export const wholeNumbers = {
  getTypeParser: (type: number, format?: 'text' | 'binary') =>
    type === INT8 ? Number : pg.types.getTypeParser(type, format as 'text'),
} as pg.CustomTypesConfig

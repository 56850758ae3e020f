import pg from 'pg'
import { OutcomeUnknown, StoreUnavailable } from '../../domain/store.ts'
import { bindAll } from '../query.ts'
import { READ_ONLY } from './clock.ts'
import { isAnswer, isLost, isReadOnly, isTimeout, ReadOnly, toDomainError } from './errors.ts'
import type { Statement } from './statements.ts'

/** Maximum attempts of a statement or transaction. */
const ATTEMPTS = 4

/** A request, or a batch of requests, that waits for a connection. */
interface Waiting {
  since: number
  size: number
}

/** The connections to PostgreSQL: runs statements on them, and retries where a retry is safe and can help. */
export class Connections {
  /** What waits for a connection, oldest first. */
  readonly waiting = new Set<Waiting>()
  /** Whether writes are rejected for now: a write got no answer, so commits may be waiting for a standby. */
  rejectsWrites = false
  readonly #pool: pg.Pool
  readonly #time: () => number
  readonly #warn: (message: string) => void
  /** Suffix of the names of prepared statements; undefined if prepared statements are not used. */
  #names: number | undefined = 0

  /**
   * @param time returns the time for statements to which it is a parameter
   * @param warn is called with a warning for the operator
   */
  constructor(config: pg.PoolConfig, time: () => number, warn: (message: string) => void) {
    this.#time = time
    this.#warn = warn
    this.#pool = new pg.Pool({ ...config, verify: assertWritable } as pg.PoolConfig)
    // An idle connection was lost: the pool opens a new one when needed.
    this.#pool.on('error', () => {})
    // A connection in use was lost: its query fails with the error.
    this.#pool.on('connect', client => client.on('error', () => {}))
  }

  /** Runs a query that is not retried. */
  async query<R extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<R[]> {
    return (await this.#pool.query<R>(sql, values)).rows
  }

  /** Returns a connection. The caller must release it. @throws StoreUnavailable */
  async connect(writing = true): Promise<pg.PoolClient> {
    const waiting = { since: performance.now(), size: 1 }
    this.waiting.add(waiting)
    try {
      const client = await this.#open()
      if (!writing || !this.rejectsWrites) return client
      client.release()
      throw new StoreUnavailable(
        'commits wait for a standby that does not confirm them: writes are rejected until it does',
      )
    } catch (error) {
      // Nothing was sent yet.
      throw new StoreUnavailable((error as Error).message, { cause: error, reading: !writing })
    } finally {
      this.waiting.delete(waiting)
    }
  }

  /** Takes a connection from the pool. Retries if a new connection was lost while it opened: nothing was sent yet. */
  async #open(): Promise<pg.PoolClient> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#pool.connect()
      } catch (error) {
        if (!isLost(error) || attempt >= ATTEMPTS) throw error
      }
    }
  }

  /**
   * Runs a function on a connection. Retries if the database reports a conflict with another transaction and a retry
   * can help.
   */
  async withRetry<T>(readsOnly: boolean, run: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const client = await this.connect(!readsOnly)
      let isUnconfirmed = false
      // "canceling wait for synchronous replication": committed here, but perhaps on no standby.
      const onNotice = () => {
        isUnconfirmed = true
      }
      client.on('notice', onNotice)
      let value: T
      try {
        value = await run(client)
      } catch (error) {
        client.off('notice', onNotice)
        client.release(isReadOnly(error) || !isAnswer(error))
        if (!this.#mayRetry(error, attempt, readsOnly)) throw toDomainError(error, !readsOnly)
        continue
      }
      client.off('notice', onNotice)
      client.release()
      if (isUnconfirmed && !readsOnly) throw new OutcomeUnknown('the standby did not confirm the commit')
      return value
    }
  }

  #mayRetry(error: unknown, attempt: number, readsOnly: boolean): boolean {
    const answered = isAnswer(error)
    const silent = isTimeout(error)
    if (!readsOnly && silent) this.rejectsWrites = true
    const changedNothing = isReadOnly(error) || (answered ? this.#canHelp(error) : readsOnly)
    // All connections may have been lost at once, and each loss shows only when the connection is used.
    const attempts = answered || silent ? ATTEMPTS : ATTEMPTS + this.#pool.options.max
    return changedNothing && attempt < attempts
  }

  /** Whether a retry can help. In each of these cases nothing was changed. */
  #canHelp(error: pg.DatabaseError): boolean {
    switch (error.code) {
      // Serialization failure, deadlock.
      case '40001':
      case '40P01':
        return true
      // A migration changed a table that a prepared statement uses: prepare it again.
      case '0A000':
        if (this.#names !== undefined) this.#names++
        return true
      // A pooler uses another connection for each transaction, where the statement is unknown or already prepared.
      case '26000':
      case '42P05':
        if (this.#names !== undefined)
          this.#warn('The connection pooler in front of PostgreSQL drops prepared statements, so they are not used.')
        this.#names = undefined
        return true
      default:
        return false
    }
  }

  /** Runs a statement on a connection. @param args the values for the placeholders of each step */
  async run<R>(client: pg.PoolClient, statement: Statement, args: Record<string, unknown>[]): Promise<R[]> {
    const { sql, parameters, name } = statement
    const values = parameters.flatMap((ofStep, step) => bindAll(ofStep, args[step] ?? {}, this.#time))
    const named = name !== undefined && this.#names !== undefined ? { name: `${name}_${this.#names}` } : {}
    const { rows } = await client.query({ ...named, text: sql, values } as pg.QueryConfig)
    if (rows[0]?.now === null) throw new ReadOnly()
    return rows as R[]
  }

  /** Returns how many connections there are, how many are idle, and how many requests wait for one. */
  load(): Record<string, number> {
    const { totalCount: connections, idleCount: idle } = this.#pool
    return { connections, idle, waiting: this.waitingRequests() }
  }

  waitingRequests(): number {
    let sum = 0
    for (const { size } of this.waiting) sum += size
    return sum
  }

  async close(): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end()
  }
}

function assertWritable(client: pg.PoolClient, done: (error?: Error) => void): void {
  client
    .query(`select ${READ_ONLY} as readonly`)
    .then(({ rows }) => done(rows[0]?.readonly ? new ReadOnly() : undefined), done)
}

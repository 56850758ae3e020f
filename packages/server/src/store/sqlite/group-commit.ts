import type BetterSqlite3 from 'better-sqlite3'
import type { AuditRecord } from '../../domain/records.ts'
import { StoreUnavailable } from '../../domain/store.ts'
import type { Ballast } from './ballast.ts'
import { hasCode, toDomainError } from './errors.ts'

/** Maximum writes per commit. */
const MAX_BATCH = 512
/** Timeout for another process that is writing, in ms. */
export const BUSY_TIMEOUT = 2_000
/** Interval between retries while it is writing, in ms. */
const BUSY_RETRY = 2
/** Interval between checks whether another process has given up the reserved space, in ms. */
const BALLAST_INTERVAL = 1_000
const NO_ROOM = 'the disk is full: until space is free again, only changes that revoke or end something are stored'

/** What a write has done so far. */
export interface Progress {
  /** The audit events that it inserted. */
  events: AuditRecord[]
  /** Whether one of its statements changed a row. */
  hasChanged: boolean
}

/** A write that waits for its commit. */
interface Write {
  /** Runs the statements. May run twice, in two transactions of which only the second one is committed. */
  run: (progress: Progress) => unknown
  revokes: boolean
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
}

/** A write failed after it had changed rows, so the transaction contains half a write. */
class HalfWritten extends Error {}

/**
 * Commits the writes of one turn of the event loop together: if one write fails, the others still commit; if the commit
 * fails, all of its batch fail. Writes run without savepoints first. If one of them fails after it changed rows, the
 * transaction is rolled back, and the whole batch runs again with a savepoint for each write.
 */
export class GroupCommit {
  readonly #db: BetterSqlite3.Database
  readonly #ballast: Ballast | undefined
  readonly #onCommit: (events: readonly AuditRecord[]) => void
  readonly #control = new Map<string, BetterSqlite3.Statement<unknown[]>>()
  #waiting: Write[] = []
  #isScheduled = false
  #isClosed = false
  #busySince: number | undefined
  /** How long SQLite waits for another process that is writing, in ms. */
  #timeout = BUSY_TIMEOUT
  /** Whether the reserved space was given up, as of the last check. */
  #isBallastSpent = false
  #ballastCheckedAt = Number.NEGATIVE_INFINITY

  /** @param onCommit is called after each commit with the audit events that it stored */
  constructor(
    db: BetterSqlite3.Database,
    ballast: Ballast | undefined,
    onCommit: (events: readonly AuditRecord[]) => void,
  ) {
    this.#db = db
    this.#ballast = ballast
    this.#onCommit = onCommit
  }

  /** How many writes wait for their commit. */
  get length(): number {
    return this.#waiting.length
  }

  /**
   * Runs a write in the next commit.
   * @param run runs its statements. May run twice, in two transactions of which only the second one is committed
   * @returns its result, after the commit
   */
  add<T>(run: (progress: Progress) => T, revokes: boolean): Promise<T> {
    if (this.#isClosed) return Promise.reject(new StoreUnavailable('the database is closed'))
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ run, revokes, resolve: resolve as Write['resolve'], reject })
      this.#schedule()
    })
  }

  /** Commits what is waiting. Later writes are rejected. */
  close(): void {
    this.#isClosed = true
    while (this.#waiting.length > 0) this.#commitNext()
  }

  #schedule(delay = 0): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    const commit = () => {
      this.#isScheduled = false
      this.#commitNext()
    }
    if (delay > 0) setTimeout(commit, delay)
    else setImmediate(commit)
  }

  #commitNext(): void {
    const batch = this.#waiting.splice(0, MAX_BATCH)
    if (batch.length === 0) return
    this.#commitBatch(this.#isFull() ? onlyRevoking(batch, new StoreUnavailable(NO_ROOM)) : batch)
    if (this.#waiting.length > 0) this.#schedule()
  }

  /** Whether there is room for revocations only. While there is, each commit tries to reserve the space again. */
  #isFull(): boolean {
    if (!this.#isBallastSpent && performance.now() - this.#ballastCheckedAt < BALLAST_INTERVAL) return false
    this.#isBallastSpent = this.#ballast?.isSpent() ?? false
    this.#ballastCheckedAt = performance.now()
    return this.#isBallastSpent
  }

  #commitBatch(batch: Write[], withSavepoints = false): void {
    if (batch.length === 0) return
    const events: AuditRecord[] = []
    let answers: (() => void)[]
    try {
      this.#begin()
      answers = batch.map(write => this.#runWrite(write, events, withSavepoints))
      this.#run('commit')
    } catch (error) {
      if (this.#db.inTransaction) this.#run('rollback')
      if (error instanceof HalfWritten) this.#commitBatch(batch, true)
      else this.#handleFailure(batch, error)
      return
    }
    for (const answer of answers) answer()
    this.#onCommit(events)
  }

  /** @returns a function that answers the caller, to be called after the commit */
  #runWrite({ run, resolve, reject }: Write, events: AuditRecord[], withSavepoint: boolean): () => void {
    const progress: Progress = { events: [], hasChanged: false }
    if (withSavepoint) this.#run('savepoint item')
    let answer: () => void
    try {
      const value = run(progress)
      events.push(...progress.events)
      answer = () => resolve(value)
    } catch (error) {
      // A full disk or a failed write may have rolled back the whole transaction, not only this item.
      if (!this.#db.inTransaction || hasCode(error, 'SQLITE_FULL')) throw error
      if (withSavepoint) this.#run('rollback to item')
      else if (progress.hasChanged) throw new HalfWritten()
      answer = () => reject(toDomainError(error))
    }
    if (withSavepoint) this.#run('release item')
    return answer
  }

  /** Retries the batch if another process is writing, or if giving up the reserved space makes room for some of it. */
  #handleFailure(batch: Write[], error: unknown): void {
    const failure = toDomainError(error)
    if (hasCode(error, 'SQLITE_BUSY') && this.#mayWait()) {
      this.#waiting.unshift(...batch)
      this.#schedule(BUSY_RETRY)
    } else if (hasCode(error, 'SQLITE_FULL') && this.#ballast?.release()) {
      this.#isBallastSpent = true
      this.#commitBatch(onlyRevoking(batch, failure))
    } else for (const { reject } of batch) reject(failure)
  }

  /**
   * Begins a write transaction. Does not wait for another process that is writing: SQLite would block all reads during
   * that time. From the first write on, no lock of another process blocks a read: the write-ahead log separates them.
   */
  #begin(): void {
    const timeout = this.#isClosed ? BUSY_TIMEOUT : 0
    if (timeout !== this.#timeout) this.#db.pragma(`busy_timeout = ${timeout}`)
    this.#timeout = timeout
    this.#run('begin immediate')
    this.#busySince = undefined
  }

  #mayWait(): boolean {
    this.#busySince ??= performance.now()
    if (!this.#isClosed && performance.now() - this.#busySince < BUSY_TIMEOUT) return true
    this.#busySince = undefined
    return false
  }

  #run(sql: string): void {
    let statement = this.#control.get(sql)
    if (!statement) {
      statement = this.#db.prepare<unknown[]>(sql)
      this.#control.set(sql, statement)
    }
    statement.run()
  }
}

/** Returns the writes that revoke something and rejects the others: the reserved space is for revocations. */
function onlyRevoking(batch: Write[], failure: unknown): Write[] {
  for (const { revokes, reject } of batch) if (!revokes) reject(failure)
  return batch.filter(({ revokes }) => revokes)
}

import {
  type Compilable,
  DummyDriver,
  type Expression,
  Kysely,
  type RawBuilder,
  type RootOperationNode,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  sql,
} from 'kysely'
import type { AuditRecord } from '../domain/records.ts'
import { columns, type Tables } from './schema.ts'

/** Builds typed SQL for either database; runs nothing. */
export const sqlFor = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: db => new SqliteIntrospector(db),
    // Not used: each database compiles queries itself.
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
})

/** A placeholder in a query that is built once and run often. */
export class Placeholder {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** Returns a placeholder for a value that is given by name at each run. It has the type of the column it stands for. */
// biome-ignore lint/suspicious/noExplicitAny: stands for a value of any column type
export const param = (name: string): any => new Placeholder(name)

/** A placeholder for a time that the database determines, Unix ms. */
export class DatabaseTime {
  /** The moment at which the statement runs, or one just before it reads anything. */
  readonly moment: 'now' | 'before reading'
  constructor(moment: 'now' | 'before reading') {
    this.moment = moment
  }
}

/**
 * The time at which the statement runs, Unix ms, by the clock of the database that runs it. It decides what has
 * expired.
 */
// biome-ignore lint/suspicious/noExplicitAny: as above
export const now: any = new DatabaseTime('now')

/** The same, evaluated once per statement, so that an index can be searched for it. */
export const nowOnce = sql<number>`(select ${now})`

/** The time just before the statement reads anything: any later change comes after it. */
// biome-ignore lint/suspicious/noExplicitAny: as above
export const readTime: any = new DatabaseTime('before reading')

/** SQL with its values, ready to run. `R` is the row it returns. */
export interface BoundQuery<R = unknown> {
  node: RootOperationNode
  /** The values for the placeholders. */
  args: Record<string, unknown>
  /** It can take milliseconds, so it must not delay other requests. */
  isLong?: true
  /** Never set: it only carries the type of the rows. */
  row?: R
}

/**
 * Builds a query once. The returned function takes the values for its placeholders.
 * @example const find = prepared<{ id: string }, ActorTokenRecord>(sqlFor.selectFrom('actor_tokens').selectAll().where('id', '=', param('id')))
 *          db.get(find({ id: 'act_…' }))
 */
export function prepared<Args extends object, R = unknown>(query: Compilable<R>): (args: Args) => BoundQuery<R> {
  const node = nodeOf(query)
  preparedNodes.add(node)
  return args => ({ node, args: args as Record<string, unknown> })
}

/** Builds a query whose text differs from call to call. */
export function dynamic<R>(query: Compilable<R> | RawBuilder<R>): BoundQuery<R> {
  return { node: nodeOf(query), args: {} }
}

/** The same for a query of a list: it can read thousands of rows. Only for reading outside of a transition. */
export function long<R>(query: Compilable<R> | RawBuilder<R>): BoundQuery<R> {
  return { ...dynamic(query), isLong: true }
}

const preparedNodes = new WeakSet<RootOperationNode>()

/** Whether a query is run again with the same text. */
export const isPrepared = ({ node }: BoundQuery): boolean => preparedNodes.has(node)

function nodeOf(query: Compilable<unknown> | RawBuilder<unknown>): RootOperationNode {
  return (query as unknown as { toOperationNode(): RootOperationNode }).toOperationNode()
}

/**
 * The row of the instance, to join with. The limit tells PostgreSQL that it is one row: it never analyzes a table of one row,
 * and would expect a thousand.
 */
export const instanceRow = sqlFor
  .selectFrom('instance')
  .select(['keyring_version', 'policy_version'])
  .limit(sql.lit(1))
  .as('instance')

/** Returns the values that are sent for the parameters of a compiled query. */
export function bindAll(parameters: readonly unknown[], args: Record<string, unknown>, time: () => number): unknown[] {
  return parameters.map(value =>
    value instanceof Placeholder ? args[value.name] : value instanceof DatabaseTime ? time() : value,
  )
}

/** Returns the placeholder for a column of a whole record. */
export const columnValue = (column: string) => (column === 'written_at' ? now : param(column))

/**
 * Builds the insert of a whole record.
 * @param computed columns whose value is an SQL expression instead of the record's value
 */
export function insertInto<T extends keyof typeof columns>(
  table: T,
  computed: Record<string, Expression<unknown>> = {},
) {
  const values = Object.fromEntries(
    Object.keys(columns[table]).map(column => [column, computed[column] ?? columnValue(column)]),
  )
  // biome-ignore lint/suspicious/noExplicitAny: one text for every table; the record's type is checked below
  return prepared<Omit<Tables[T], 'seq' | 'written_at'>>(sqlFor.insertInto(table).values(values as any))
}

/**
 * One statement of a transition. If a `required` statement returns no row, the whole transition is undone. `next` adds
 * statements that depend on the rows.
 */
export interface Step<R = unknown> {
  query: BoundQuery<R>
  required?: true
  /** In the first step only: the transition revokes or ends something, so it is stored even when the disk is full. */
  revokes?: true
  /** The audit events that the statement inserts. If it may insert none of them, it must be `required`. */
  events?: readonly AuditRecord[]
  next?: (rows: R[]) => Step[]
}

/** A `required` step matched no row: the transition did not happen. */
export class NoRowMatched extends Error {}

/** Is called with the audit events of a committed transaction, in the order in which they were inserted. */
export type CommitListener = (events: readonly AuditRecord[]) => void

const insertEvent = insertInto('audit_events')

/** Maximum events per statement: a database limits the number of values. */
const EVENTS_PER_STATEMENT = 500

/** The last step of every transition: without its audit event, no change is committed. */
export const recordEvent = (event: AuditRecord): Step => ({ query: insertEvent(event), events: [event] })

/** The same for several events, in batches. */
export function recordEvents(events: AuditRecord[]): Step[] {
  const steps: Step[] = []
  for (let first = 0; first < events.length; first += EVENTS_PER_STATEMENT) {
    const batch = events.slice(first, first + EVENTS_PER_STATEMENT)
    steps.push({ query: dynamic(sqlFor.insertInto('audit_events').values(batch)), events: batch })
  }
  return steps
}

/** The listeners of a database that receive the audit events of each committed transaction. */
export class CommitListeners {
  readonly #listeners = new Set<CommitListener>()
  readonly #warn: (message: string) => void

  /** @param warn is called with the error of a listener */
  constructor(warn: (message: string) => void) {
    this.#warn = warn
  }

  /** Adds a listener. @returns a function that removes it */
  add(listener: CommitListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Calls every listener. Never throws: the transaction is already committed. */
  report(events: readonly AuditRecord[]): void {
    if (events.length === 0) return
    for (const listener of this.#listeners) {
      try {
        listener(events)
      } catch (error) {
        this.#warn(`A listener for committed audit events failed: ${error instanceof Error ? error.stack : error}`)
      }
    }
  }
}

/** The interface that the stores use; sqlite.ts and postgres.ts implement it. */
export interface Database {
  get<R>(query: BoundQuery<R>): Promise<R | undefined>
  all<R>(query: BoundQuery<R>): Promise<R[]>
  /**
   * Returns SQL for the ids of users whose searched text contains one of the texts, in upper or lower case. Each text has
   * at least three characters. `limit` is the maximum number of users: those that were added last.
   */
  usersWithText(texts: string[], limit: number): RawBuilder<unknown>
  /** SQL for whether the private metadata of a user says that the user is protected. Null: it says nothing. */
  readonly isProtected: RawBuilder<boolean>
  /** Runs the steps in one transaction. @returns the rows of the first one; undefined if a required one found nothing */
  transition<R>(first: Step<R>, ...more: Step[]): Promise<R[] | undefined>
  /**
   * Calls the listener soon after a session ended before its expiry: in this process, or in another one if the database
   * sends notifications.
   */
  onRevocation(listener: () => void): () => void
  /** Calls the listener soon after the tree over the audit log was extended, in the same way. */
  onAuditTree(listener: () => void): () => void
  /** Returns the time, and since when transactions are open that could still insert a lower number of an audit event. */
  openTransactions(): Promise<{ now: number; since: number | null }>
  /**
   * Calls the listener once for each transaction of this process that inserted audit events, after its commit and
   * before its caller gets an answer. Does not call it for a transition that was refused or undone, nor if the outcome
   * of the commit is unknown. An error that the listener throws becomes a warning. @returns a function that stops it
   */
  onCommitted(listener: CommitListener): () => void
  /** Returns how many requests wait for a connection, and for how long the oldest has waited, in ms. */
  waiting(): { length: number; oldest: number }
  /** Returns the current load, as numbers whose names never change. */
  load(): Record<string, number>
  ping(): Promise<void>
  /** Returns problems of the database and of its settings for writes, as text. */
  check(): Promise<string[]>
  /** Returns how acknowledged changes could be lost, as text. */
  risks(): Promise<string[]>
  /** Writes what is pending, then closes. */
  close(): Promise<void>
}

/** A unique value already exists. `columns`: `users.username`; several are separated by `, `. */
export class UniqueViolation extends Error {
  readonly columns: string
  constructor(columns: string, cause: unknown) {
    super(`unique: ${columns}`, { cause })
    this.columns = columns
  }
}

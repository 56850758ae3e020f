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
import { columns, type Tables } from './schema.ts'

/** Writes typed SQL for whichever database will run it; runs nothing. */
export const sqlFor = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: db => new SqliteIntrospector(db),
    // Never asked: each database compiles for itself.
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
})

/** A hole in a query that is written once and run often. */
export class Hole {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** A value given by name each time the query is run. Has the type of the column it stands for. */
// biome-ignore lint/suspicious/noExplicitAny: stands for a value of whichever type the column has
export const given = (name: string): any => new Hole(name)

/** The time at which the statement runs, Unix ms, by the clock of the database that runs it: it decides what has expired. */
// biome-ignore lint/suspicious/noExplicitAny: as above
export const now: any = new Hole('now')

/** The same, evaluated once a statement: an index can be searched for it. */
export const nowOnce = sql<number>`(select ${now})`

/** The time just before the statement read anything: whatever is changed later, this was before. */
// biome-ignore lint/suspicious/noExplicitAny: as above
export const readTime: any = new Hole('read time')

/** SQL with its values, ready to run. `R` is the row it returns. */
export interface Bound<R = unknown> {
  node: RootOperationNode
  /** What goes into the holes. */
  args: Record<string, unknown>
  /** Never there: it only carries the type of the rows. */
  row?: R
}

/**
 * Writes a query once. Run it with the values of its holes.
 * @example const find = prepared<{ id: string }, TicketRecord>(sqlFor.selectFrom('tickets').selectAll().where('id', '=', given('id')))
 *          db.get(find({ id: 'act_…' }))
 */
export function prepared<Args extends object, R = unknown>(query: Compilable<R>): (args: Args) => Bound<R> {
  const node = nodeOf(query)
  kept.add(node)
  return args => ({ node, args: args as Record<string, unknown> })
}

/** For queries whose text differs from call to call. */
export function bound<R>(query: Compilable<R> | RawBuilder<R>): Bound<R> {
  return { node: nodeOf(query), args: {} }
}

const kept = new WeakSet<RootOperationNode>()

/** Whether a query comes again with the same text. */
export const isPrepared = ({ node }: Bound): boolean => kept.has(node)

function nodeOf(query: Compilable<unknown> | RawBuilder<unknown>): RootOperationNode {
  return (query as unknown as { toOperationNode(): RootOperationNode }).toOperationNode()
}

/** What goes to the database in place of the parameters of a compiled query. */
export function filled(parameters: readonly unknown[], args: Record<string, unknown>, time: () => number): unknown[] {
  return parameters.map(value =>
    value instanceof Hole ? (value === now || value === readTime ? time() : args[value.name]) : value,
  )
}

/** The value of a column in a whole record. */
export const columnValue = (column: string) => (column === 'written_at' ? now : given(column))

/**
 * Adds a whole record.
 * @param computed columns whose value is an SQL expression instead of the record's
 */
export function insertInto<T extends keyof typeof columns>(
  table: T,
  computed: Record<string, Expression<unknown>> = {},
) {
  const holes = Object.fromEntries(
    Object.keys(columns[table]).map(column => [column, computed[column] ?? columnValue(column)]),
  )
  // biome-ignore lint/suspicious/noExplicitAny: one text for every table; the record's type is checked below
  return prepared<Omit<Tables[T], 'seq' | 'written_at'>>(sqlFor.insertInto(table).values(holes as any))
}

/**
 * One statement of a transition. A `required` one that returns no row ends the whole transition, and nothing of it has
 * happened. `next` adds statements that depend on the rows.
 */
export interface Step<R = unknown> {
  query: Bound<R>
  required?: true
  /** In the first step: it takes something away, and is stored even if the disk has no room for anything else. */
  revokes?: true
  next?: (rows: R[]) => Step[]
}

/** What a database must do for the stores; sqlite.ts and postgres.ts do it. */
export interface Database {
  get<R>(query: Bound<R>): Promise<R | undefined>
  all<R>(query: Bound<R>): Promise<R[]>
  /** Runs the steps in one transaction. @returns the rows of the first one; undefined if a required one found nothing */
  transition<R>(first: Step<R>, ...more: Step[]): Promise<R[] | undefined>
  /** Calls back soon after a session ended before its time, in this process or, as far as the database tells, in another. */
  onRevocation(listener: () => void): () => void
  /** How many wait for a connection to the database, and how long the first of them has, ms. */
  waiting(): { length: number; oldest: number }
  /** How busy it is, in numbers whose names never change. */
  load(): Record<string, number>
  ping(): Promise<void>
  /** What is wrong with the database or with how it is written, in words. */
  check(): Promise<string[]>
  /** What could lose something that was acknowledged, in words. */
  risks(): Promise<string[]>
  /** Writes what is waiting, then closes. */
  close(): Promise<void>
}

/** A unique value is there already. `columns`: `users.username`; several separated by `, `. */
export class UniqueViolation extends Error {
  readonly columns: string
  constructor(columns: string, cause: unknown) {
    super(`unique: ${columns}`, { cause })
    this.columns = columns
  }
}

import { type Compilable, DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import { columns, type Tables } from './schema.ts'

/**
 * Writes `+?` for `?`. It is the same value, but SQLite (STAT4) thinks that the plan of many a query might depend on a
 * bare parameter, and then plans it anew each time it is run, which takes twenty times as long as running it.
 */
class QueryCompiler extends SqliteQueryCompiler {
  protected override getCurrentParameterPlaceholder(): string {
    return '+?'
  }
}

/** Writes typed SQL; runs nothing. */
export const sqlFor = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: db => new SqliteIntrospector(db),
    createQueryCompiler: () => new QueryCompiler(),
  },
})

/** A hole in a query that is compiled once and run often. */
class Hole {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** A value given by name each time the query is run. Has the type of the column it stands for. */
// biome-ignore lint/suspicious/noExplicitAny: stands for a value of whichever type the column has
export const given = (name: string): any => new Hole(name)

/** SQL with its values filled in, ready to run. `R` is the row it returns. */
export interface Bound<R = unknown> {
  sql: string
  values: unknown[]
  /** Never there: it only carries the type of the rows. */
  row?: R
}

/**
 * Compiles a query once. Run it with the values of its holes.
 * @example const find = prepared<{ id: string }, TicketRecord>(sqlFor.selectFrom('tickets').selectAll().where('id', '=', given('id')))
 *          db.get(find({ id: 'act_…' }))
 */
export function prepared<Args extends object, R = unknown>(query: Compilable<R>): (args: Args) => Bound<R> {
  const { sql, parameters } = query.compile()
  return args => ({
    sql,
    values: parameters.map(value => (value instanceof Hole ? (args as Record<string, unknown>)[value.name] : value)),
  })
}

/** For queries whose text differs from call to call. */
export function bound<R>(query: Compilable<R>): Bound<R> {
  const { sql, parameters } = query.compile()
  return { sql, values: [...parameters] }
}

/** Adds a whole record. */
export function insertInto<T extends keyof typeof columns>(table: T) {
  const holes = Object.fromEntries(columns[table].map(column => [column, given(column)]))
  // biome-ignore lint/suspicious/noExplicitAny: one text for every table; the record's type is checked below
  return prepared<Omit<Tables[T], 'seq'>>(sqlFor.insertInto(table).values(holes as any))
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

/** What a database must do for the stores; sqlite.ts does it. */
export interface Database {
  get<R>(query: Bound<R>): Promise<R | undefined>
  all<R>(query: Bound<R>): Promise<R[]>
  /** Runs the steps in one transaction. @returns the rows of the first one; undefined if a required one found nothing */
  transition<R>(first: Step<R>, ...more: Step[]): Promise<R[] | undefined>
}

/** A unique value is there already. `columns` as the database names them. */
export class UniqueViolation extends Error {
  readonly columns: string
  constructor(columns: string, cause: unknown) {
    super(`unique: ${columns}`, { cause })
    this.columns = columns
  }
}

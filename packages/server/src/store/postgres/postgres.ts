import { createHash } from 'node:crypto'
import { PostgresQueryCompiler, type RootOperationNode } from 'kysely'
import pg from 'pg'
import type { Clock } from '../../domain/clock.ts'
import { OutcomeUnknown, StoreUnavailable } from '../../domain/store.ts'
import { assertKnown, migrations, postgresOf } from '../migrations/index.ts'
import { rewriteOnPostgres } from '../migrations/rewrites.ts'
import {
  type BoundQuery,
  bindAll,
  type Database,
  isPrepared,
  now,
  Placeholder,
  readTime,
  type Step,
  UniqueViolation,
} from '../query.ts'
import { integers } from '../schema.ts'
import { grantsNeeded, lackingGrants, MISSING_GRANTS, type MissingGrant } from './grants.ts'
import { type Args, ReadBatcher, type Send } from './read-batch.ts'

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
/** Interval between checks of the listening connection, in ms. */
const LISTEN_CHECK = 10_000
/** Pause before a new listening connection, in ms. */
const LISTEN_PAUSE = 500
const CHANNEL = 'stagedoor_revocations'
/** Maximum attempts of a statement or transaction. */
const ATTEMPTS = 4
/**
 * Maximum statements of one query that run at the same time. Later reads wait and are sent together as the next
 * statement.
 */
const READS_AT_ONCE = 2
/** Advisory lock that prevents two nodes from migrating at the same time: "stage" in hex. */
const MIGRATION_LOCK = 0x73_74_61_67_65

/** The time by the database's clock when this is evaluated, Unix ms. */
const TIME = 'floor(extract(epoch from clock_timestamp()) * 1000)::bigint'
/** Whether this is a standby, or a primary that an operator has made read-only: its data may be old. */
const READ_ONLY = "current_setting('transaction_read_only') = 'on'"
/**
 * Whether a commit waits for a synchronous standby that does not answer. It would wait forever, and keep its
 * connection.
 */
const UNCONFIRMED =
  "exists (select from pg_stat_activity where wait_event = 'SyncRep' and query_start < clock_timestamp() - interval '3 seconds')"
/** The time when the transaction began, which is before it reads anything. Null on a read-only database. */
const READ_TIME = `case when ${READ_ONLY} then null else floor(extract(epoch from transaction_timestamp()) * 1000)::bigint end`

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
  readonly #config: pg.PoolConfig
  readonly #pool: pg.Pool
  /** Batches that wait for a connection, oldest first, with the number of requests in each. */
  readonly #waiting = new Set<{ since: number; size: number }>()
  /** Pending reads, by query. */
  readonly #reads = new WeakMap<RootOperationNode, ReadBatcher>()
  readonly #listeners = new Set<() => void>()
  #hangUp = () => {}
  readonly #compiler: QueryCompiler
  readonly #injected: Clock | undefined
  readonly #warn: (message: string) => void
  readonly #compiled = new WeakMap<RootOperationNode, Compiled>()
  /** Transitions that are one statement, by their first query. */
  readonly #together = new WeakMap<RootOperationNode, { nodes: RootOperationNode[]; statement: Compiled }[]>()
  readonly #timer: NodeJS.Timeout
  /** How far the database's clock is ahead of `performance.now()`, in ms. */
  #ahead = 0
  /** Whether writes are rejected for now: a write got no answer, so commits may be waiting for a standby. */
  #stuck = false
  /** Suffix of the names of prepared statements; undefined if prepared statements are not used. */
  #names: number | undefined = 0

  private constructor(config: pg.PoolConfig, { clock, warn = () => {} }: PostgresOptions) {
    this.#config = config
    this.#injected = clock
    this.#warn = warn
    this.#compiler = new QueryCompiler(clock !== undefined)
    this.clock = clock ?? { now: () => Math.floor(performance.now() + this.#ahead) }
    this.#pool = new pg.Pool({ ...config, verify: assertWritable } as pg.PoolConfig)
    // An idle connection was lost: the pool opens a new one when needed.
    this.#pool.on('error', () => {})
    // A connection in use was lost: its query fails with the error.
    this.#pool.on('connect', client => client.on('error', () => {}))
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
    const db = new Postgres({ ...config, ...limits }, options)
    try {
      await db.#readClock()
      return db
    } catch (error) {
      await db.close()
      if (!/unsupported startup parameter/.test(String((error as Error).message))) throw advised(error)
    }
    // A pooler that does not pass on startup parameters: the limits must then be set on the role.
    options.warn?.(
      'The connection pooler in front of PostgreSQL drops time limits. Set them on the role: see docs/operating.md.',
    )
    const pooled = new Postgres(config, options)
    try {
      await pooled.#readClock()
      return pooled
    } catch (error) {
      await pooled.close()
      throw advised(error)
    }
  }

  /**
   * Brings the schema up to date: one transaction per migration, one node at a time.
   * @returns the names of the migrations that ran
   */
  async migrate(): Promise<string[]> {
    if ((await this.#pending()).length === 0) return []
    const ran: string[] = []
    for (const migration of migrations) {
      const client = await this.#connect()
      try {
        await client.query('begin')
        await client.query('set local statement_timeout = 0')
        await client.query('set local lock_timeout = 0')
        await client.query('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
        await client.query(
          'create table if not exists migrations (name text primary key, applied_at timestamptz not null default now())',
        )
        const { rowCount } = await client.query('select from migrations where name = $1', [migration.name])
        if (rowCount === 0) {
          await client.query(postgresOf(migration))
          for (const rewrite of migration.rewrites ?? []) await rewriteOnPostgres(client, rewrite)
          await client.query('insert into migrations (name) values ($1)', [migration.name])
          ran.push(migration.name)
        }
        await client.query('commit')
        client.release()
      } catch (error) {
        client.release(true)
        throw (error as { code?: string }).code === '42501'
          ? new Error(
              `the schema lacks ${migration.name} and this role may not change it. Run \`stagedoor migrate\` with the role that owns it.`,
              { cause: error },
            )
          : error
      }
    }
    return ran
  }

  async #pending(): Promise<string[]> {
    const { rows } = await this.#pool
      .query<{ name: string }>('select name from migrations')
      .catch(error => this.#withoutMigrations(error))
    const applied = new Set(rows.map(row => row.name))
    assertKnown(applied)
    return migrations.map(migration => migration.name).filter(name => !applied.has(name))
  }

  /** Handles an unreadable list of migrations: it does not exist yet, or the role has no privilege to read it. */
  async #withoutMigrations(error: pg.DatabaseError): Promise<{ rows: { name: string }[] }> {
    if (error.code === '42501') await this.assertGrants()
    if (error.code !== '42P01') throw error
    const { rows } = await this.#pool.query<{ schema: string | null; role: string }>(
      'select current_schema() as schema, quote_ident(current_user) as role',
    )
    const [{ schema = null, role = '' } = {}] = rows
    if (schema !== null) return { rows: [] }
    throw new Error(
      `the role ${role} may not use any schema here. Run as the owner of the database: grant usage on schema public to ${role};`,
    )
  }

  /**
   * Finds missing grants at the start, not at the first request that needs them. @throws Error with the statements to
   * run
   */
  async assertGrants(): Promise<void> {
    const { rows } = await this.#pool.query<MissingGrant>(MISSING_GRANTS, grantsNeeded())
    if (rows.length > 0) throw lackingGrants(rows)
  }

  async get<R>(query: BoundQuery<R>): Promise<R | undefined> {
    return (await this.all(query))[0]
  }

  /** Reads all rows. The busier the database, the more reads share one statement. */
  all<R>(query: BoundQuery<R>): Promise<R[]> {
    if (!isPrepared(query)) return this.#readAlone(query)
    let reads = this.#reads.get(query.node)
    if (!reads) {
      reads = new ReadBatcher(READS_AT_ONCE, this.#sender(query.node), this.#waiting)
      this.#reads.set(query.node, reads)
    }
    return reads.read(query.args) as Promise<R[]>
  }

  /**
   * Runs a read in a statement of its own. It changes nothing, so it is retried on another connection if this one is
   * lost.
   */
  #readAlone<R>(query: BoundQuery<R>): Promise<R[]> {
    return this.#withRetry(true, client => this.#run<R>(client, this.#compile(query), [query.args]))
  }

  /** Returns a function that runs a query for many sets of values with one statement. */
  #sender(node: RootOperationNode): Send {
    const one = this.#compile({ node, args: {} })
    const several = forSeveral(one)
    return async take => {
      let wanted: Args[] = []
      try {
        return await this.#withRetry(true, async client => {
          wanted = take()
          const [only = {}] = wanted
          if (wanted.length === 1) return [await this.#run(client, one, [only])]
          const lists = Object.fromEntries(Object.keys(only).map(name => [name, wanted.map(args => args[name])]))
          const found: unknown[][] = wanted.map(() => [])
          for (const { which, ...row } of await this.#run<{ which: number }>(client, several, [lists]))
            found[which - 1]?.push(row)
          return found
        })
      } catch (error) {
        // One failing read must not fail the others: run each one alone.
        if (wanted.length < 2 || error instanceof StoreUnavailable) throw error
        return wanted.map(args => this.#readAlone({ node, args }))
      }
    }
  }

  async transition<R>(first: Step<R>, ...more: Step[]): Promise<R[] | undefined> {
    const steps = [first as Step, ...more]
    const statement = this.#oneStatement(steps)
    if (statement) {
      const args = steps.map(step => step.query.args)
      const rows = await this.#withRetry(false, client => this.#run<R>(client, statement, args))
      return first.required && rows.length === 0 ? undefined : rows
    }
    return this.#withRetry(false, async client => {
      await client.query('begin')
      const step = async <S>({ query, required, next }: Step<S>): Promise<S[]> => {
        const rows = await this.#run<S>(client, this.#compile(query), [query.args])
        if (required && rows.length === 0) throw new NoRowMatched()
        for (const after of next?.(rows) ?? []) await step(after)
        return rows
      }
      try {
        const rows = await step(first)
        for (const after of more) await step(after)
        await client.query('commit').catch(error => Promise.reject(Object.assign(error, { committing: true })))
        return rows
      } catch (error) {
        if (error instanceof NoRowMatched || isAnswer(error)) await client.query('rollback')
        if (error instanceof NoRowMatched) return undefined
        throw error
      }
    })
  }

  /**
   * Uses LISTEN and NOTIFY. While that connection is lost no notifications arrive; after a reconnect every listener is
   * called once.
   */
  onRevocation(listener: () => void): () => void {
    this.#listeners.add(listener)
    if (this.#listeners.size === 1) void this.#listen()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#hangUp()
    }
  }

  /** Listens on a separate connection while there are listeners. */
  async #listen(): Promise<void> {
    const call = () => {
      for (const listener of this.#listeners) listener()
    }
    while (this.#listeners.size > 0) {
      const client = new pg.Client(this.#config)
      const lost = new Promise<void>(resolve => client.once('end', resolve).on('error', () => resolve()))
      this.#hangUp = () => void client.end().catch(() => {})
      try {
        await client.connect()
        client.on('notification', call)
        await client.query(`listen ${CHANNEL}`)
        call()
        // A dead connection may not report an error, so check it regularly.
        const alive = setInterval(() => client.query('select').catch(() => client.end()), LISTEN_CHECK).unref()
        await lost.finally(() => clearInterval(alive))
      } catch {
        await client.end().catch(() => {})
      }
      if (this.#listeners.size > 0) await new Promise(resolve => setTimeout(resolve, LISTEN_PAUSE).unref())
    }
  }

  async ping(): Promise<void> {
    await this.#readClock()
  }

  /**
   * Returns the settings of the database server that endanger data, and other problems that an operator should know.
   */
  async check(): Promise<string[]> {
    const { rows } = await this.#pool.query<{ name: string; setting: string }>(
      `select name, setting from pg_settings where name in
        ('fsync', 'full_page_writes', 'synchronous_commit', 'server_encoding', 'server_version_num')`,
    )
    const settings = Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))
    const problems: string[] = []
    for (const name of ['fsync', 'full_page_writes'])
      if (settings[name] !== 'on') problems.push(`${name} is off: a crash of the machine can lose or damage everything`)
    if (settings.synchronous_commit === 'off')
      problems.push('synchronous_commit is off: acknowledged changes can be lost in a crash')
    if (settings.server_encoding !== 'UTF8') problems.push(`the database is ${settings.server_encoding}, not UTF8`)
    const pending = await this.#pending()
    if (pending.length > 0) problems.push(`the schema lacks ${pending.join(', ')}: run \`stagedoor migrate\``)
    return problems
  }

  /**
   * Returns how a failover could lose acknowledged changes. Any role can see that there are standbys; few can see their
   * state.
   */
  async risks(): Promise<string[]> {
    const { rows } = await this.#pool.query<{ commit: string; names: string; standbys: number }>(
      `select current_setting('synchronous_commit') as commit, current_setting('synchronous_standby_names') as names,
        (select count(*) from pg_stat_replication) as standbys`,
    )
    const { commit = 'on', names = '', standbys = 0 } = rows[0] ?? {}
    if (commit === 'off' || commit === 'local')
      return [`synchronous_commit is ${commit}: acknowledged changes can be lost when a standby takes over`]
    return standbys > 0 && names === ''
      ? [
          'there are standbys, but none is synchronous: acknowledged changes can be lost when one takes over. Set synchronous_standby_names',
        ]
      : []
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#listeners.clear()
    this.#hangUp()
    if (!this.#pool.ending) await this.#pool.end()
  }

  /**
   * Reads the database's clock, taken to be the time halfway between request and answer. Also checks whether commits
   * get through.
   */
  async #readClock(): Promise<void> {
    const asked = performance.now()
    const sql = `select case when ${READ_ONLY} then null else ${TIME} end as now, ${UNCONFIRMED} as unconfirmed`
    const [row] = await this.#withRetry(true, client =>
      this.#run<{ now: number; unconfirmed: boolean }>(client, { sql, parameters: [] }, []),
    )
    const answered = performance.now()
    if (!row) return
    this.#ahead = row.now - (asked + answered) / 2
    this.#stuck = row.unconfirmed
  }

  load(): Record<string, number> {
    const { totalCount: connections, idleCount: idle } = this.#pool
    return { connections, idle, waiting: this.#waitingRequests() }
  }

  waiting(): { length: number; oldest: number } {
    const [first] = this.#waiting
    return { length: this.#waitingRequests(), oldest: first ? performance.now() - first.since : 0 }
  }

  #waitingRequests(): number {
    let sum = 0
    for (const { size } of this.#waiting) sum += size
    return sum
  }

  async #connect(writing = true): Promise<pg.PoolClient> {
    const asked = { since: performance.now(), size: 1 }
    this.#waiting.add(asked)
    try {
      const client = await this.#pool.connect()
      if (!writing || !this.#stuck) return client
      client.release()
      throw new StoreUnavailable(
        'commits wait for a standby that does not confirm them: writes are rejected until it does',
      )
    } catch (error) {
      // Nothing was sent yet.
      throw new StoreUnavailable((error as Error).message, { cause: error, reading: !writing })
    } finally {
      this.#waiting.delete(asked)
    }
  }

  /**
   * Runs a function on a connection. Retries if the database reports a conflict with another transaction and a retry
   * can help.
   */
  async #withRetry<T>(readsOnly: boolean, run: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const client = await this.#connect(!readsOnly)
      let mapUnknownOutcome = false
      const warned = () => {
        mapUnknownOutcome = true
      }
      // "canceling wait for synchronous replication": committed here, but perhaps on no standby.
      client.on('notice', warned)
      try {
        const value = await run(client)
        client.off('notice', warned)
        client.release()
        if (mapUnknownOutcome && !readsOnly) throw new OutcomeUnknown('the standby did not confirm the commit')
        return value
      } catch (error) {
        if (error instanceof OutcomeUnknown) throw error
        client.off('notice', warned)
        // There may be a new primary by now: only a new connection finds it.
        const elsewhere = error instanceof ReadOnly || (error as pg.DatabaseError).code === '25006'
        const answered = isAnswer(error)
        const silent = (error as Error).message === 'Query read timeout'
        if (!readsOnly && silent) this.#stuck = true
        client.release(elsewhere || !answered)
        const harmless = elsewhere || (answered ? this.#mayTryAgain(error as pg.DatabaseError) : readsOnly)
        // All connections may have been lost at once, and each loss shows only when the connection is used.
        const attempts = answered || silent ? ATTEMPTS : ATTEMPTS + this.#pool.options.max
        if (!harmless || attempt >= attempts) throw translated(error, !readsOnly)
      }
    }
  }

  /** Whether a retry can help. In each of these cases nothing was changed. */
  #mayTryAgain(error: pg.DatabaseError): boolean {
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

  /** @param args the values for the placeholders of each step */
  async #run<R>(client: pg.PoolClient, statement: Compiled, args: Record<string, unknown>[]): Promise<R[]> {
    const { sql, parameters, name } = statement
    const time = () => (this.#injected as Clock).now()
    const values = parameters.flatMap((ofStep, step) => bindAll(ofStep, args[step] ?? {}, time))
    const named = name !== undefined && this.#names !== undefined ? { name: `${name}_${this.#names}` } : {}
    const { rows } = await client.query({ ...named, text: sql, values } as pg.QueryConfig)
    if (rows[0]?.now === null) throw new ReadOnly()
    return rows as R[]
  }

  #compile(query: BoundQuery): Compiled {
    const known = this.#compiled.get(query.node)
    if (known) return known
    const { sql, parameters } = this.#compiler.compileQuery(query.node, { queryId: '' })
    if (!isPrepared(query)) return { sql, parameters: [parameters] }
    const compiled = { sql, parameters: [parameters], name: nameOf(sql) }
    this.#compiled.set(query.node, compiled)
    return compiled
  }

  /**
   * Combines steps that do not depend on each other's rows into one statement: the first step decides, and the others
   * take effect if it did. Returns undefined if the steps have to run one by one: one changes what another has changed,
   * or depends on another's rows.
   */
  #oneStatement(steps: Step[]): Compiled | undefined {
    const [first, ...more] = steps as [Step, ...Step[]]
    if (steps.some(step => step.next) || more.some(step => step.required)) return undefined
    const known = this.#together
      .get(first.query.node)
      ?.find(({ nodes }) => nodes.length === steps.length && nodes.every((node, i) => node === steps[i]?.query.node))
    if (known) return known.statement
    const compiled = steps.map(step => this.#compile(step.query))
    const tables = compiled.map(({ sql }) => /^(?:insert into|update|delete from) "(\w+)"/.exec(sql)?.[1])
    if (new Set(tables).size < steps.length) return undefined
    let before = 0
    const parts = compiled.map((part, i) => {
      const sql = part.sql.replace(/\$(\d+)/g, (_, number) => `$${Number(number) + before}`)
      before += part.parameters.flat().length
      return `"step_${i}" as (${i > 0 && first.required ? onlyIfFirst(sql) : sql})`
    })
    const returns = / returning /.test(compiled[0]?.sql ?? '')
    const sql =
      steps.length === 1
        ? (compiled[0] as Compiled).sql
        : `with ${parts.join(', ')} select ${returns ? '* from "step_0"' : '1 where false'}`
    const statement = { sql, parameters: compiled.flatMap(({ parameters }) => parameters), name: nameOf(sql) }
    if (steps.every(step => isPrepared(step.query))) {
      const nodes = steps.map(step => step.query.node)
      this.#together.set(first.query.node, [...(this.#together.get(first.query.node) ?? []), { nodes, statement }])
    }
    return statement
  }
}

interface Compiled {
  sql: string
  /** The parameters of each step. */
  parameters: (readonly unknown[])[]
  /** The name of the prepared statement. */
  name?: string
}

/**
 * Adds its type, one of two, to every parameter, and writes `null` as text. The time is the database's own, unless a
 * clock is injected.
 */
class QueryCompiler extends PostgresQueryCompiler {
  readonly #timeIsGiven: boolean
  constructor(timeIsGiven: boolean) {
    super()
    this.#timeIsGiven = timeIsGiven
  }

  protected override appendValue(value: unknown): void {
    if (value === null) {
      this.append('null')
      return
    }
    if ((value === now || value === readTime) && !this.#timeIsGiven) {
      this.append(value === now ? TIME : READ_TIME)
      return
    }
    const whole =
      value instanceof Placeholder ? value === readTime || integers.has(value.name) : typeof value === 'number'
    this.addParameter(value)
    this.append(`${this.getCurrentParameterPlaceholder()}::${whole ? 'bigint' : 'text'}`)
  }
}

/**
 * Changes a query for one set of values into a query for many: it returns each row with `which`, the number of its set,
 * from 1.
 */
function forSeveral({ sql, parameters: [values = []] }: Compiled): Compiled {
  const isGiven = (value: unknown): value is Placeholder =>
    value instanceof Placeholder && value !== now && value !== readTime
  const names = [...new Set(values.filter(isGiven).map(({ name }) => name))]
  const types = new Map<string, string>()
  const others: unknown[] = []
  const lateral = sql.replace(/\$(\d+)::(bigint|text)/g, (_, number, type) => {
    const value = values[number - 1]
    if (isGiven(value)) {
      types.set(value.name, type)
      return `"wanted"."given_${value.name}"`
    }
    others.push(value)
    return `$${names.length + others.length}::${type}`
  })
  const lists = names.map((name, i) => `$${i + 1}::${types.get(name)}[]`)
  const wanted = names.map(name => `"given_${name}"`)
  const text = `select "wanted"."which", "found".* from unnest(${lists}) with ordinality as "wanted" (${[...wanted, 'which']}), lateral (${lateral}) as "found"`
  return { sql: text, parameters: [[...names.map(name => new Placeholder(name)), ...others]], name: nameOf(text) }
}

/** Makes a later step happen only if the first one returned a row. */
function onlyIfFirst(sql: string): string {
  const condition = 'exists (select 1 from "step_0")'
  if (sql.startsWith('update ')) return `${sql} and ${condition}`
  const conditional = sql.replace(
    /^(insert into "\w+" \([^)]*\)) values \((.*)\)( on conflict .*)?$/s,
    (_, into, values, conflict = '') => `${into} select ${values} where ${condition}${conflict}`,
  )
  if (conditional === sql) throw new Error(`only an insert or update can depend on an earlier step: ${sql}`)
  return conditional
}

/**
 * Names a statement by its text, so that all processes use the same name: a pooler may share connections between them.
 */
const nameOf = (sql: string) => `sd_${createHash('sha1').update(sql).digest('hex').slice(0, 24)}`

const INT8 = 20

/** Reads `bigint` as a number: all stored integers are below 2^53. */
export const wholeNumbers = {
  getTypeParser: (type: number, format?: 'text' | 'binary') =>
    type === INT8 ? Number : pg.types.getTypeParser(type, format as 'text'),
} as pg.CustomTypesConfig

/** Decisions are never based on a read-only database: its data may be behind. */
class ReadOnly extends StoreUnavailable {
  constructor() {
    super('this PostgreSQL accepts no writes, like a standby: its address must lead to the primary', {
      reading: true,
    })
  }
}

function assertWritable(client: pg.PoolClient, done: (error?: Error) => void): void {
  client
    .query(`select ${READ_ONLY} as readonly`)
    .then(({ rows }) => done(rows[0]?.readonly ? new ReadOnly() : undefined), done)
}

/** Advice for connection errors whose message does not tell what to do. */
const ADVICE: [RegExp, string][] = [
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'Use a host name in the URL that is in its certificate'],
  [/^(SELF_SIGNED|DEPTH_ZERO|UNABLE_TO)_/, 'Set the CA that signed its certificate: &sslrootcert=/path/ca.pem'],
  [/^CERT_HAS_EXPIRED$/, 'It needs a new certificate'],
  [/^The server does not support SSL/, 'It needs a certificate and ssl = on'],
  [/valid client certificate/, 'Set one and its key: &sslcert=/path/client.pem&sslkey=/path/client.key'],
]

function advised(error: unknown): unknown {
  const { message, cause } = error as Error & { cause?: { code?: string } }
  const known = [cause?.code ?? '', message]
  const [, advice] = ADVICE.find(([pattern]) => known.some(text => pattern.test(text))) ?? []
  return advice === undefined ? error : new Error(`${message}. ${advice}.`, { cause: error })
}

class NoRowMatched extends Error {}

/** Whether the database answered: then the connection is good, and the statement did nothing. */
function isAnswer(error: unknown): boolean {
  // 57P01 to 57P03: the database is shutting down or starting.
  return error instanceof pg.DatabaseError && !/^(57P|08)/.test(error.code ?? '') && error.severity !== 'FATAL'
}

/**
 * PostgreSQL's error classes for a database that is too busy, too slow, full, read-only or shutting down, and for a
 * revoked grant.
 */
const UNAVAILABLE = /^(08|25006|40001|40P01|42501|53|55P03|57|58|XX)/

/** Converts database errors to the domain's errors. Any other error is a bug and stays as it is. */
function translated(error: unknown, writing: boolean): unknown {
  if (error instanceof StoreUnavailable) return error
  if (!(error instanceof Error)) return error
  const { code = '', table, detail = '', committing } = error as pg.DatabaseError & { committing?: true }
  if (code === '23505') {
    const names = /^Key \(([^)]*)\)=/.exec(detail)?.[1] ?? ''
    return new UniqueViolation(
      names
        .split(', ')
        .map(name => `${table}.${name}`)
        .join(', '),
      new Error(error.message),
    )
  }
  if (isAnswer(error)) {
    return UNAVAILABLE.test(code)
      ? new StoreUnavailable(`${code}: ${error.message}`, { cause: error, reading: !writing })
      : error
  }
  return writing || committing
    ? new OutcomeUnknown(error.message, { cause: error })
    : new StoreUnavailable(error.message, { cause: error, reading: !writing })
}

import { createHash } from 'node:crypto'
import { PostgresQueryCompiler, type RootOperationNode } from 'kysely'
import pg from 'pg'
import type { Clock } from '../domain/context.ts'
import { OutcomeUnknown, StoreUnavailable } from '../domain/store.ts'
import { grantsNeeded, lackingGrants, MISSING_GRANTS, type MissingGrant } from './grants.ts'
import { assertKnown, migrations, postgresOf } from './migrations.ts'
import {
  type Bound,
  type Database,
  filled,
  Hole,
  isPrepared,
  now,
  readTime,
  type Step,
  UniqueViolation,
} from './query.ts'
import { type Args, Reads, type Send } from './reads.ts'
import { rewriteOnPostgres } from './rewrites.ts'
import { integers } from './schema.ts'

/** How long a statement may take, ms. */
const STATEMENT_TIMEOUT = 5_000
/** How long it may wait for a row that somebody else is changing, ms. */
const LOCK_TIMEOUT = 2_000
/** How long to wait for a free or a new connection, ms. */
const CONNECT_TIMEOUT = 3_000
/** The server gives up first and says so; only a connection that is dead gets this far, ms. */
const ANSWER_TIMEOUT = STATEMENT_TIMEOUT + 1_000
/** How often the database's clock is looked at, ms. */
const CLOCK_INTERVAL = 1_000
/** How often the connection that listens is tried, and the pause before a new one, ms. */
const LISTEN_CHECK = 10_000
const LISTEN_PAUSE = 500
const CHANNEL = 'stagedoor_revocations'
const ATTEMPTS = 4
/** So many statements of one read are under way at once; what comes meanwhile is the next, together. */
const READS_AT_ONCE = 2
/** Keeps two nodes from migrating at once: "stage" in hex. */
const MIGRATION_LOCK = 0x73_74_61_67_65

/** Unix ms by the database's clock, at the moment it is evaluated. */
const TIME = 'floor(extract(epoch from clock_timestamp()) * 1000)::bigint'
/** A standby, or a primary that an operator has stopped from writing: what it says may be old. */
const READ_ONLY = "current_setting('transaction_read_only') = 'on'"
/** A commit waits for a synchronous standby that says nothing. It does so for ever, and keeps its connection. */
const UNCONFIRMED =
  "exists (select from pg_stat_activity where wait_event = 'SyncRep' and query_start < clock_timestamp() - interval '3 seconds')"
/** Of the beginning of the transaction, which is before it sees anything. Null where nothing can be written. */
const READ_TIME = `case when ${READ_ONLY} then null else floor(extract(epoch from transaction_timestamp()) * 1000)::bigint end`

export interface PostgresOptions {
  /** Connections at most. */
  poolSize?: number
  /** Decides what has expired, in place of the database's own clock: for tests. */
  clock?: Clock
  /** Something an operator should know, and nobody asked for. */
  warn?: (message: string) => void
}

/**
 * PostgreSQL. A transition is one statement and one round trip wherever its steps allow it; the database's clock
 * decides what has expired. Nothing is kept here between two requests.
 */
export class Postgres implements Database {
  /** The database's clock, as read a moment ago and carried on by this machine's steady one. */
  readonly clock: Clock
  readonly #config: pg.PoolConfig
  readonly #pool: pg.Pool
  /** What waits for a connection, oldest first, and how many requests that is. */
  readonly #waiting = new Set<{ since: number; size: number }>()
  /** By their query. */
  readonly #reads = new WeakMap<RootOperationNode, Reads>()
  readonly #listeners = new Set<() => void>()
  #hangUp = () => {}
  readonly #compiler: QueryCompiler
  readonly #injected: Clock | undefined
  readonly #warn: (message: string) => void
  readonly #compiled = new WeakMap<RootOperationNode, Compiled>()
  /** By the first of their queries: lists of queries that are one statement. */
  readonly #together = new WeakMap<RootOperationNode, { nodes: RootOperationNode[]; statement: Compiled }[]>()
  readonly #timer: NodeJS.Timeout
  /** What the database's clock is ahead of `performance.now()`, ms. */
  #ahead = 0
  /** Nothing is written for now: a write got no answer, and commits may be waiting for a standby. */
  #stuck = false
  /** Names of prepared statements begin with this; undefined: they are not used. */
  #names: number | undefined = 0

  private constructor(config: pg.PoolConfig, { clock, warn = () => {} }: PostgresOptions) {
    this.#config = config
    this.#injected = clock
    this.#warn = warn
    this.#compiler = new QueryCompiler(clock !== undefined)
    this.clock = clock ?? { now: () => Math.floor(performance.now() + this.#ahead) }
    this.#pool = new pg.Pool({ ...config, verify: assertWritable } as pg.PoolConfig)
    // A connection that nobody is using was lost: the next one who needs one makes a new one.
    this.#pool.on('error', () => {})
    // One that somebody is using: they are told by what they asked it.
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
    // A pooler that passes no parameters on: the limits are then those of the role.
    options.warn?.(
      'The connection pooler before PostgreSQL passes no time limits on. Set them on the role: see docs/operating.md.',
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
   * Brings the schema up to date: one migration a transaction, one writer at a time.
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

  /** The list of migrations cannot be read: there is none yet, or the role may not read it. */
  async #withoutMigrations(error: pg.DatabaseError): Promise<{ rows: { name: string }[] }> {
    if (error.code === '42501') await this.assertGrants()
    if (error.code !== '42P01') throw error
    const { rows } = await this.#pool.query<{ schema: string | null; role: string }>(
      'select current_schema() as schema, quote_ident(current_user) as role',
    )
    const [{ schema = null, role = '' } = {}] = rows
    if (schema !== null) return { rows: [] }
    throw new Error(
      `the role ${role} may use no schema here. Run as the owner of the database: grant usage on schema public to ${role};`,
    )
  }

  /** Finds a forgotten grant at the start, not at the first request that needs it. @throws Error with the statements to run */
  async assertGrants(): Promise<void> {
    const { rows } = await this.#pool.query<MissingGrant>(MISSING_GRANTS, grantsNeeded())
    if (rows.length > 0) throw lackingGrants(rows)
  }

  async get<R>(query: Bound<R>): Promise<R | undefined> {
    return (await this.all(query))[0]
  }

  /** The busier the database, the more reads are one statement. */
  all<R>(query: Bound<R>): Promise<R[]> {
    if (!isPrepared(query)) return this.#readAlone(query)
    let reads = this.#reads.get(query.node)
    if (!reads) {
      reads = new Reads(READS_AT_ONCE, this.#sender(query.node), this.#waiting)
      this.#reads.set(query.node, reads)
    }
    return reads.read(query.args) as Promise<R[]>
  }

  /** Tried again, on another connection, if this one was lost: it changes nothing. */
  #readAlone<R>(query: Bound<R>): Promise<R[]> {
    return this.#persevering(true, client => this.#run<R>(client, this.#compile(query), [query.args]))
  }

  /** Reads for many what a query reads for one. */
  #sender(node: RootOperationNode): Send {
    const one = this.#compile({ node, args: {} })
    const several = forSeveral(one)
    return async take => {
      let wanted: Args[] = []
      try {
        return await this.#persevering(true, async client => {
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
        // What is wrong with one of them is not the others' fault.
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
      const rows = await this.#persevering(false, client => this.#run<R>(client, statement, args))
      return first.required && rows.length === 0 ? undefined : rows
    }
    return this.#persevering(false, async client => {
      await client.query('begin')
      const step = async <S>({ query, required, next }: Step<S>): Promise<S[]> => {
        const rows = await this.#run<S>(client, this.#compile(query), [query.args])
        if (required && rows.length === 0) throw new NothingFound()
        for (const after of next?.(rows) ?? []) await step(after)
        return rows
      }
      try {
        const rows = await step(first)
        for (const after of more) await step(after)
        await client.query('commit').catch(error => Promise.reject(Object.assign(error, { committing: true })))
        return rows
      } catch (error) {
        if (error instanceof NothingFound || isAnswer(error)) await client.query('rollback')
        if (error instanceof NothingFound) return undefined
        throw error
      }
    })
  }

  /** By LISTEN and NOTIFY. While that connection is lost nothing is heard; when it is back everybody is called once. */
  onRevocation(listener: () => void): () => void {
    this.#listeners.add(listener)
    if (this.#listeners.size === 1) void this.#listen()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#hangUp()
    }
  }

  /** Listens, on a connection of its own, for as long as anybody wants to know. */
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
        // A connection can be dead without anybody having said so.
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

  /** What of the server's settings would break a promise, or somebody should know. */
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
      problems.push('synchronous_commit is off: what was acknowledged can be lost in a crash')
    if (settings.server_encoding !== 'UTF8') problems.push(`the database is ${settings.server_encoding}, not UTF8`)
    const pending = await this.#pending()
    if (pending.length > 0) problems.push(`the schema lacks ${pending.join(', ')}: run \`stagedoor migrate\``)
    return problems
  }

  /** What a failover could lose of what was acknowledged. Who follows is seen by any role, how well by few. */
  async risks(): Promise<string[]> {
    const { rows } = await this.#pool.query<{ commit: string; names: string; standbys: number }>(
      `select current_setting('synchronous_commit') as commit, current_setting('synchronous_standby_names') as names,
        (select count(*) from pg_stat_replication) as standbys`,
    )
    const { commit = 'on', names = '', standbys = 0 } = rows[0] ?? {}
    if (commit === 'off' || commit === 'local')
      return [`synchronous_commit is ${commit}: what was acknowledged can be lost when a standby takes over`]
    return standbys > 0 && names === ''
      ? [
          'standbys follow, and none is synchronous: what was acknowledged can be lost when one takes over. Set synchronous_standby_names',
        ]
      : []
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#listeners.clear()
    this.#hangUp()
    if (!this.#pool.ending) await this.#pool.end()
  }

  /** Reads the clock of the database, on the middle of the way there and back; and looks whether commits get through. */
  async #readClock(): Promise<void> {
    const asked = performance.now()
    const sql = `select case when ${READ_ONLY} then null else ${TIME} end as now, ${UNCONFIRMED} as unconfirmed`
    const [row] = await this.#persevering(true, client =>
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
      throw new StoreUnavailable('commits wait for a standby that confirms nothing: nothing is written until it does')
    } catch (error) {
      // Nothing was sent yet.
      throw new StoreUnavailable((error as Error).message, { cause: error, reading: !writing })
    } finally {
      this.#waiting.delete(asked)
    }
  }

  /** Runs it on a connection; again if the database says that it met another transaction, and that trying again helps. */
  async #persevering<T>(readsOnly: boolean, run: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const client = await this.#connect(!readsOnly)
      let unsure = false
      const warned = () => {
        unsure = true
      }
      // "canceling wait for synchronous replication": committed here, and perhaps nowhere else.
      client.on('notice', warned)
      try {
        const value = await run(client)
        client.off('notice', warned)
        client.release()
        if (unsure && !readsOnly) throw new OutcomeUnknown('the standby did not confirm the commit')
        return value
      } catch (error) {
        if (error instanceof OutcomeUnknown) throw error
        client.off('notice', warned)
        // There may be another primary by now: only a new connection finds it.
        const elsewhere = error instanceof ReadOnly || (error as pg.DatabaseError).code === '25006'
        const answered = isAnswer(error)
        const silent = (error as Error).message === 'Query read timeout'
        if (!readsOnly && silent) this.#stuck = true
        client.release(elsewhere || !answered)
        const harmless = elsewhere || (answered ? this.#mayTryAgain(error as pg.DatabaseError) : readsOnly)
        // All connections may have been lost together: each is found out by being used.
        const attempts = answered || silent ? ATTEMPTS : ATTEMPTS + this.#pool.options.max
        if (!harmless || attempt >= attempts) throw translated(error, !readsOnly)
      }
    }
  }

  /** In each of these cases nothing has happened. */
  #mayTryAgain(error: pg.DatabaseError): boolean {
    switch (error.code) {
      // Serialization failure, deadlock.
      case '40001':
      case '40P01':
        return true
      // A migration changed a table under a prepared statement: prepare it anew.
      case '0A000':
        if (this.#names !== undefined) this.#names++
        return true
      // A pooler gives every transaction another connection, where the statement is unknown or known already.
      case '26000':
      case '42P05':
        if (this.#names !== undefined)
          this.#warn('The connection pooler before PostgreSQL keeps no prepared statements; going on without them.')
        this.#names = undefined
        return true
      default:
        return false
    }
  }

  /** @param args what goes into the holes of each step */
  async #run<R>(client: pg.PoolClient, statement: Compiled, args: Record<string, unknown>[]): Promise<R[]> {
    const { sql, parameters, name } = statement
    const time = () => (this.#injected as Clock).now()
    const values = parameters.flatMap((ofStep, step) => filled(ofStep, args[step] ?? {}, time))
    const named = name !== undefined && this.#names !== undefined ? { name: `${name}_${this.#names}` } : {}
    const { rows } = await client.query({ ...named, text: sql, values } as pg.QueryConfig)
    if (rows[0]?.now === null) throw new ReadOnly()
    return rows as R[]
  }

  #compile(query: Bound): Compiled {
    const known = this.#compiled.get(query.node)
    if (known) return known
    const { sql, parameters } = this.#compiler.compileQuery(query.node, { queryId: '' })
    if (!isPrepared(query)) return { sql, parameters: [parameters] }
    const compiled = { sql, parameters: [parameters], name: nameOf(sql) }
    this.#compiled.set(query.node, compiled)
    return compiled
  }

  /**
   * Steps that do not depend on each other's rows as one statement: the first decides, the others happen if it did.
   * Undefined if they have to go one by one: one changes what another has changed, or asks what the rows are.
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
  /** Of each step. */
  parameters: (readonly unknown[])[]
  /** Of the prepared statement. */
  name?: string
}

/** Every value says which of the two types it has; a `null` is written out. The time is the database's own, unless one is injected. */
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
    const whole = value instanceof Hole ? value === readTime || integers.has(value.name) : typeof value === 'number'
    this.addParameter(value)
    this.append(`${this.getCurrentParameterPlaceholder()}::${whole ? 'bigint' : 'text'}`)
  }
}

/** What reads for one set of values, for many: `which` of them, from 1, and the row. */
function forSeveral({ sql, parameters: [values = []] }: Compiled): Compiled {
  const isGiven = (value: unknown): value is Hole => value instanceof Hole && value !== now && value !== readTime
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
  return { sql: text, parameters: [[...names.map(name => new Hole(name)), ...others]], name: nameOf(text) }
}

/** Makes a later step happen only if the first one returned a row. */
function onlyIfFirst(sql: string): string {
  const condition = 'exists (select 1 from "step_0")'
  if (sql.startsWith('update ')) return `${sql} and ${condition}`
  const conditional = sql.replace(
    /^(insert into "\w+" \([^)]*\)) values \((.*)\)( on conflict .*)?$/s,
    (_, into, values, conflict = '') => `${into} select ${values} where ${condition}${conflict}`,
  )
  if (conditional === sql) throw new Error(`not an insert or update that could depend on a step before: ${sql}`)
  return conditional
}

/** The same text has the same name, whoever prepares it: connections may be shared by a pooler. */
const nameOf = (sql: string) => `sd_${createHash('sha1').update(sql).digest('hex').slice(0, 24)}`

const INT8 = 20

/** Whole numbers of ours are all below 2^53. */
export const wholeNumbers = {
  getTypeParser: (type: number, format?: 'text' | 'binary') =>
    type === INT8 ? Number : pg.types.getTypeParser(type, format as 'text'),
} as pg.CustomTypesConfig

/** What decides who may do what is never read where nothing can be written: it may be behind. */
class ReadOnly extends StoreUnavailable {
  constructor() {
    super('this PostgreSQL takes no writes, as a standby does: its address has to lead to the primary', {
      reading: true,
    })
  }
}

function assertWritable(client: pg.PoolClient, done: (error?: Error) => void): void {
  client
    .query(`select ${READ_ONLY} as readonly`)
    .then(({ rows }) => done(rows[0]?.readonly ? new ReadOnly() : undefined), done)
}

/** What to do about a connection that cannot be made; the rest says so itself. */
const ADVICE: [RegExp, string][] = [
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'Use a name in the URL that its certificate has'],
  [/^(SELF_SIGNED|DEPTH_ZERO|UNABLE_TO)_/, 'Name the CA that signed its certificate: &sslrootcert=/path/ca.pem'],
  [/^CERT_HAS_EXPIRED$/, 'It needs a new certificate'],
  [/^The server does not support SSL/, 'It needs a certificate and ssl = on'],
  [/valid client certificate/, 'Name one, and its key: &sslcert=/path/client.pem&sslkey=/path/client.key'],
]

function advised(error: unknown): unknown {
  const { message, cause } = error as Error & { cause?: { code?: string } }
  const known = [cause?.code ?? '', message]
  const [, advice] = ADVICE.find(([pattern]) => known.some(text => pattern.test(text))) ?? []
  return advice === undefined ? error : new Error(`${message}. ${advice}.`, { cause: error })
}

class NothingFound extends Error {}

/** The database answered: the connection is good, and the statement did nothing. */
function isAnswer(error: unknown): boolean {
  // 57P01 to 57P03: it is shutting down or starting.
  return error instanceof pg.DatabaseError && !/^(57P|08)/.test(error.code ?? '') && error.severity !== 'FATAL'
}

/** Too busy, full, read-only, shutting down, it took too long, or a grant was revoked: PostgreSQL's classes of errors. */
const UNAVAILABLE = /^(08|25006|40001|40P01|42501|53|55P03|57|58|XX)/

/** Database trouble as the domain knows it; anything else is a bug and stays what it is. */
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

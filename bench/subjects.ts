import { randomBytes } from 'node:crypto'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { type PostgresCluster, startPostgres } from '../test/support/postgres/cluster.ts'
import { type Child, closedLoop, startChild, workFolder } from './child.ts'
import { pidOf } from './cpu.ts'
import type { Round } from './load.ts'
import type { Options } from './options.ts'
import type { External } from './peers/external.ts'
import { hydra } from './peers/hydra.ts'
import { keycloak } from './peers/keycloak.ts'

/** Starts everything that the main benchmark measures: our servers, bare servers, other products, and the load. */

export const ALGORITHMS = ['RS256', 'ES256'] as const
export type Algorithm = (typeof ALGORITHMS)[number]
const LOAD_CORE = cpus().length > 1 ? '1' : '0'

/** The processes whose CPU time is read around a measurement. */
export interface Processes {
  server: number[]
  database: number[]
}

/** A server that answers requests. */
export interface Server extends Processes {
  port: number
  child?: Child
}

/** A server with the members that its kind of load needs. */
export type Peer = Server & Partial<Round>

export interface Subjects {
  folder: string
  secretKey: string
  load: Child
  disk: Child
  verifier: Child
  bare: Server
  sqlite: Record<Algorithm, Server>
  postgres?: Record<Algorithm, Server>
  /** By the name of the database. */
  betterAuth: Record<string, Peer>
  oidcProvider?: Peer
  external: External[]
  cluster?: PostgresCluster
  startLoad(file: string): Child
  /** Ends all servers except these. */
  endOthers(kept: Server[]): Promise<void>
  endAll(): Promise<void>
}

export async function startSubjects(options: Options): Promise<Subjects> {
  const folder = workFolder()
  const secretKey = `sk_live_${randomBytes(24).toString('hex')}`
  const children: Child[] = []
  const start = (file: string, cores: string, env: Record<string, string> = {}) => {
    const profile = options.profile && file === 'server.ts' ? ['--cpu-prof', '--cpu-prof-dir', options.profile] : []
    const child = startChild(file, { cores, env, node: profile })
    children.push(child)
    return child
  }
  const { parts } = options
  // PostgreSQL may use any core, as in production. Its default settings survive a power failure.
  const cluster = parts.has('postgres') || parts.has('peers') ? await startPostgres() : undefined
  const database = cluster ? [pidOf(cluster)] : []
  const serve = async (alg: Algorithm, url: string, database: number[] = []): Promise<Server> => {
    const child = start('server.ts', '0', closedLoop(url, alg, secretKey))
    return { child, server: [child.pid], database, port: await child.ask<number>({}) }
  }
  const forEach = async (serveOn: (alg: Algorithm) => Promise<Server>) => ({
    RS256: await serveOn('RS256'),
    ES256: await serveOn('ES256'),
  })
  const peer = async (file: string, env: Record<string, string>, database: number[] = []): Promise<Peer> => {
    const child = start(`peers/${file}`, '0', env)
    return { ...(await child.ask<{ port: number }>({})), child, server: [child.pid], database }
  }
  const bare = start('bare.ts', '0', { BENCH_DATABASE: join(folder, 'bare.db') })
  const subjects: Subjects = {
    folder,
    secretKey,
    load: start('load.ts', LOAD_CORE),
    disk: start('disk.ts', '0'),
    verifier: start('verify.ts', '0'),
    bare: { child: bare, port: await bare.ask<number>({}), server: [bare.pid], database: [] },
    sqlite: await forEach(alg => serve(alg, `sqlite:${join(folder, `${alg}.db`)}`)),
    betterAuth: {},
    external: [],
    startLoad: file => start(file, LOAD_CORE),
    async endOthers(kept) {
      await Promise.all(children.filter(child => !kept.some(server => server.child === child)).map(it => it.end()))
    },
    async endAll() {
      for (const child of children) await child.end()
      for (const external of subjects.external) await external[Symbol.asyncDispose]()
      await cluster?.[Symbol.asyncDispose]()
    },
  }
  if (cluster) subjects.cluster = cluster
  if (cluster && parts.has('postgres'))
    subjects.postgres = await forEach(async alg => serve(alg, await cluster.createDatabase(), database))
  if (cluster && parts.has('peers')) {
    const BENCH_SECRET = randomBytes(24).toString('hex')
    const file = (name: string) => ({ BENCH_SECRET, BENCH_DATABASE: join(folder, name) })
    const onPostgres = { BENCH_SECRET, BENCH_DATABASE: await cluster.createDatabase() }
    subjects.betterAuth = {
      SQLite: await peer('better-auth.mjs', file('better-auth.db')),
      'SQLite with WAL': await peer('better-auth.mjs', { ...file('better-auth-wal.db'), BENCH_WAL: 'yes' }),
      PostgreSQL: await peer('better-auth.mjs', onPostgres, database),
    }
    subjects.oidcProvider = await peer('oidc-provider.mjs', {})
  }
  if (options.keycloak) subjects.external.push(await keycloak(options.keycloak))
  if (options.hydra) subjects.external.push(await hydra(options.hydra))
  return subjects
}

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { Stagedoor as Client } from '@stagedoor/sdk'
import { type Config, loadConfig, remoteServer } from '../config.ts'
import { DEV_MASTER_KEY_PREFIX } from '../config-rules.ts'
import type { Stagedoor } from '../server.ts'

/** Where `stagedoor dev` keeps its database and its secrets. */
export const DEV_DIRECTORY = '.stagedoor'
const DEV_ENV = join(DEV_DIRECTORY, 'dev.env')
/** While the development server of this folder runs, this file has its URL and process id. */
const DEV_SERVER = join(DEV_DIRECTORY, 'server.json')

/** Returns the settings of the development server in this folder. Creates its secrets on the first start. */
export function devEnvironment(): Record<string, string> {
  if (!existsSync(DEV_ENV)) {
    mkdirSync(DEV_DIRECTORY, { recursive: true, mode: 0o700 })
    const lines = [
      '# Created by `stagedoor dev`, for this folder and this machine only. Delete the folder to reset it.',
      `STAGEDOOR_MASTER_KEY=${DEV_MASTER_KEY_PREFIX}${randomBytes(32).toString('base64')}`,
      `STAGEDOOR_SECRET_KEY=sk_test_${randomBytes(32).toString('hex')}`,
      '',
    ]
    writeFileSync(DEV_ENV, lines.join('\n'), { mode: 0o600 })
  }
  return {
    STAGEDOOR_DATABASE_URL: `sqlite:${join(DEV_DIRECTORY, 'dev.db')}`,
    STAGEDOOR_ENVIRONMENT: 'development',
    ...(parseEnv(readFileSync(DEV_ENV, 'utf8')) as Record<string, string>),
  }
}

/**
 * Returns the environment of a command: the process's own, or that of the development server of this folder. The key that
 * `dev` prints may be exported: it still means this folder.
 */
export function commandEnvironment(): Record<string, string | undefined> {
  const own = process.env
  const { STAGEDOOR_MASTER_KEY: masterKey, STAGEDOOR_DATABASE_URL: databaseUrl, STAGEDOOR_SECRET_KEY: secretKey } = own
  if (masterKey !== undefined || databaseUrl !== undefined || !existsSync(DEV_ENV)) return own
  const dev = devEnvironment()
  if (secretKey !== undefined && secretKey !== dev.STAGEDOOR_SECRET_KEY) return own
  const server = runningDevServer()
  return { ...dev, ...(server ? { STAGEDOOR_SERVER_URL: server.url } : {}), ...own }
}

interface DevServer {
  url: string
  pid: number
}

/** Stores the URL of the development server of this folder, so that commands find it. @returns a function that removes it */
export function announceDevServer(url: string): () => void {
  writeFileSync(DEV_SERVER, JSON.stringify({ url, pid: process.pid } satisfies DevServer), { mode: 0o600 })
  return () => {
    if (runningDevServer()?.pid === process.pid) rmSync(DEV_SERVER, { force: true })
  }
}

/** Returns the development server of this folder, if it is running. */
export function runningDevServer(): DevServer | undefined {
  try {
    const server = JSON.parse(readFileSync(DEV_SERVER, 'utf8')) as DevServer
    // The file remains if the process was killed.
    process.kill(server.pid, 0)
    return server
  } catch (error) {
    // The process is running, as another user.
    if ((error as NodeJS.ErrnoException).code === 'EPERM') return JSON.parse(readFileSync(DEV_SERVER, 'utf8'))
    return undefined
  }
}

/** Creates an SDK client from STAGEDOOR_SERVER_URL and STAGEDOOR_SECRET_KEY. */
export function remote(): Client {
  return new Client(remoteServer(commandEnvironment()))
}

/** Runs work directly on the instance's database. A server may be running at the same time. */
export async function withInstance<T>(work: (stagedoor: Stagedoor, config: Config) => Promise<T>): Promise<T> {
  const config = loadConfig(commandEnvironment())
  // Loaded only here: a command that sends requests to a server starts in half the time without it.
  const [{ createStagedoor }, { pino }] = await Promise.all([import('../server.ts'), import('pino')])
  const stagedoor = await createStagedoor(config, { log: pino({ level: 'silent' }), serves: false })
  try {
    return await work(stagedoor, config)
  } finally {
    await stagedoor.close()
  }
}

/** Returns the principal for the audit log: the user of this shell. */
export function commandLine() {
  return { type: 'command_line', id: userInfo().username } as const
}

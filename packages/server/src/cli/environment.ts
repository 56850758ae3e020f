import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { Stagedoor as Client } from '@stagedoor/sdk'
import { pino } from 'pino'
import { type Config, DEV_MASTER_KEY_PREFIX, loadConfig, remoteServer } from '../config.ts'
import { createStagedoor, type Stagedoor } from '../server.ts'

/** Where `stagedoor dev` keeps its database and its secrets. */
export const DEV_DIRECTORY = '.stagedoor'
const DEV_ENV = join(DEV_DIRECTORY, 'dev.env')
/** Where the development server of this folder listens, while it runs. */
const DEV_SERVER = join(DEV_DIRECTORY, 'server.json')

/** The secrets of the development server in this folder, made at its first start. */
export function devEnvironment(): Record<string, string> {
  if (!existsSync(DEV_ENV)) {
    mkdirSync(DEV_DIRECTORY, { recursive: true, mode: 0o700 })
    const lines = [
      '# Made by `stagedoor dev`, for this folder and this machine only. Delete the folder to start anew.',
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

/** The environment a command works in: the process's own, or that of the development server of this folder. */
export function commandEnvironment(): Record<string, string | undefined> {
  const own = process.env
  const told = own.STAGEDOOR_MASTER_KEY ?? own.STAGEDOOR_SECRET_KEY ?? own.STAGEDOOR_DATABASE_URL
  if (told !== undefined || !existsSync(DEV_ENV)) return own
  const server = runningDevServer()
  return { ...devEnvironment(), ...(server ? { STAGEDOOR_SERVER_URL: server.url } : {}), ...own }
}

interface DevServer {
  url: string
  pid: number
}

/** Writes down where the development server of this folder is, so that commands find it. @returns what takes that back */
export function announceDevServer(url: string): () => void {
  writeFileSync(DEV_SERVER, JSON.stringify({ url, pid: process.pid } satisfies DevServer), { mode: 0o600 })
  return () => {
    if (runningDevServer()?.pid === process.pid) rmSync(DEV_SERVER, { force: true })
  }
}

/** The development server of this folder, if it runs. */
export function runningDevServer(): DevServer | undefined {
  try {
    const server = JSON.parse(readFileSync(DEV_SERVER, 'utf8')) as DevServer
    // The file stays behind if the process was killed.
    process.kill(server.pid, 0)
    return server
  } catch (error) {
    // It runs, as another user.
    if ((error as NodeJS.ErrnoException).code === 'EPERM') return JSON.parse(readFileSync(DEV_SERVER, 'utf8'))
    return undefined
  }
}

/** A client of the server that STAGEDOOR_SERVER_URL and STAGEDOOR_SECRET_KEY name. */
export function remote(): Client {
  return new Client(remoteServer(commandEnvironment()))
}

/** Works on the instance's own database, beside a running server or without one. */
export async function withInstance<T>(work: (stagedoor: Stagedoor, config: Config) => Promise<T>): Promise<T> {
  const config = loadConfig(commandEnvironment())
  const stagedoor = await createStagedoor(config, { log: pino({ level: 'silent' }), serves: false })
  try {
    return await work(stagedoor, config)
  } finally {
    await stagedoor.close()
  }
}

/** Who the audit log says did it: the person whose shell it is. */
export function commandLine() {
  return { type: 'command_line', id: userInfo().username } as const
}

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Starts child processes that answer questions: each runs a file of this folder on its own core. */

/** Whether this machine can pin processes to cores. */
export const canPin = spawnSync('taskset', ['-c', '0', 'true']).status === 0

/** Returns a command line that is pinned to these cores (`0` or `0,1`), if this machine can pin processes. */
export function pinned(cores: string, command: string, args: string[]): [string, string[]] {
  return canPin ? ['taskset', ['-c', cores, command, ...args]] : [command, args]
}

/** A folder for databases, deleted at the end. Not in /tmp, which may be memory, where fdatasync costs nothing. */
export function workFolder(): string {
  const cache = fileURLToPath(new URL('../node_modules/.cache/', import.meta.url))
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(`${cache}stagedoor-bench-`)
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
  return folder
}

/** Settings of a server under a closed loop, which limits its own queue: the server refuses nothing. */
export const closedLoop = (database: string, alg: string, secretKey: string): Record<string, string> => ({
  STAGEDOOR_DATABASE_URL: database,
  STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
  STAGEDOOR_SECRET_KEY: secretKey,
  STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
  STAGEDOOR_SIGNING_ALG: alg,
  STAGEDOOR_PORT: '0',
  STAGEDOOR_LOG_LEVEL: 'error',
  STAGEDOOR_MAX_WAIT_MS: '60000',
})

export interface Child {
  pid: number
  /** Sends the child one question at a time. Rejects if the child fails or has ended. */
  ask<A>(question: object): Promise<A>
  /** Ends the child and waits for its exit. */
  end(): Promise<void>
}

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/**
 * Option for processes that are pinned to one core. V8 has four threads in addition to the event loop's, on any number of
 * cores. On one core its garbage collection threads block the event loop for a tenth of a second (docs/decisions/0007).
 */
const ON_ONE_CORE = '--single-threaded-gc'

export interface ChildOptions {
  cores: string
  env?: Record<string, string>
  /** Options for Node. */
  node?: string[]
  /** File descriptor for standard output. Default: inherited. */
  output?: number
}

/** Starts a file of this folder, which calls `answer` below. */
export function startChild(file: string, { cores, env = {}, node = [], output }: ChildOptions): Child {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const forCores = canPin && !cores.includes(',') ? [ON_ONE_CORE] : []
  const [command, args] = pinned(cores, process.execPath, [...forCores, ...node, path])
  const child = spawn(command, args, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', output ?? 'inherit', 'inherit', 'ipc'],
  })
  children.add(child)
  const gone = new Promise<void>(resolve => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  }).then(() => children.delete(child))

  return {
    pid: child.pid ?? 0,
    ask: question =>
      new Promise((resolve, reject) => {
        const ended = (code: unknown) => reject(new Error(`${file} ended (${code})`))
        child.once('exit', ended)
        child.once('message', (message: { answer?: unknown; error?: string }) => {
          child.off('exit', ended)
          if (message.error === undefined) resolve(message.answer as never)
          else reject(new Error(`${file}: ${message.error}`))
        })
        child.send(question, error => error && reject(error))
      }),
    async end() {
      if (child.connected) child.disconnect()
      const late = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await gone
      clearTimeout(late)
    },
  }
}

/**
 * Answers every question of the parent, in the child, until the parent disconnects.
 * @param atEnd called before the child exits
 */
export function answer(handle: (question: never) => unknown, atEnd: () => unknown = () => {}): void {
  process.on('message', async question => {
    try {
      process.send?.({ answer: await handle(question as never) })
    } catch (error) {
      process.send?.({ error: (error as Error).stack })
    }
  })
  process.once('disconnect', async () => {
    await atEnd()
    process.exit(0)
  })
}

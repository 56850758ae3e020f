import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Child processes that answer questions: each is a file of this folder, on a core of its own. */

/** Whether processes can be kept on one core here. */
export const canPin = spawnSync('taskset', ['-c', '0', 'true']).status === 0

/** A command line that stays on these cores (`0` or `0,1`), if this machine can do that. */
export function pinned(cores: string, command: string, args: string[]): [string, string[]] {
  return canPin ? ['taskset', ['-c', cores, command, ...args]] : [command, args]
}

/** A folder for databases, gone at the end. Beside the code, not in /tmp: that may be memory, and then fdatasync costs nothing. */
export function workFolder(): string {
  const cache = fileURLToPath(new URL('../node_modules/.cache/', import.meta.url))
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(`${cache}stagedoor-bench-`)
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
  return folder
}

/** Settings of a server under a closed loop: that is its own queue, and none of it is refused. */
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
  /** Asks the child one thing at a time; rejects if it cannot do it, or has ended. */
  ask<A>(question: object): Promise<A>
  /** Ends it, and waits until it is gone. */
  end(): Promise<void>
}

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/**
 * V8 has four threads beside the event loop's, however many cores there are. On one core those that collect garbage take
 * its turns, for a tenth of a second (docs/decisions/0007): what is kept on one core collects garbage by itself.
 */
const ON_ONE_CORE = '--single-threaded-gc'

export interface ChildOptions {
  cores: string
  env?: Record<string, string>
  /** Options of Node itself. */
  node?: string[]
  /** A file for its standard output; ours unless given. */
  output?: number
}

/** Starts a file of this folder. It calls `answer` below. */
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
 * The child's side: answers every question until the parent lets go.
 * @param atEnd what to do before leaving
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

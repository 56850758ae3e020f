import { setImmediate as nextTurn } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import BetterSqlite3 from 'better-sqlite3'
import { StoreUnavailable } from '../../domain/store.ts'
import type { ReadAnswer, ReaderOptions, ReadFailure, ReadRequest } from './reader-thread.ts'

interface Waiting {
  resolve: (rows: Record<string, unknown>[]) => void
  reject: (error: unknown) => void
}

/**
 * Runs queries that can take milliseconds in a thread of their own, so that other requests do not wait for them. Every
 * query sees what was committed before it was sent. The thread starts with the first query: it takes 14 MB of memory and
 * 60 ms.
 */
export class Reader {
  readonly #options: ReaderOptions
  readonly #waiting = new Map<number, Waiting>()
  #thread: Worker | undefined
  #sent = 0

  constructor(options: ReaderOptions) {
    this.#options = options
  }

  /**
   * Runs a query.
   * @param first whether only the first row is needed
   * @throws SqliteError; StoreUnavailable if the thread ended
   */
  read(sql: string, values: unknown[], first: boolean): Promise<Record<string, unknown>[]> {
    return new Promise((resolve, reject) => {
      this.#thread ??= this.#start()
      const id = ++this.#sent
      this.#waiting.set(id, { resolve, reject })
      // While it works, the thread keeps the process alive.
      this.#thread.ref()
      this.#thread.postMessage({ id, sql, values, first } satisfies ReadRequest)
    })
  }

  /** Stops the thread. Queries that still run fail; a later query starts another thread. */
  async close(): Promise<void> {
    const thread = this.#thread
    if (!thread) return
    this.#end(thread, new Error('it was stopped'))
    await thread.terminate()
  }

  #start(): Worker {
    // The same folder has the thread's file in the sources, in the npm package and in the bundled command.
    const [extension] = /\.\w+$/.exec(import.meta.url) ?? ['.ts']
    const thread = new Worker(new URL(`./reader-thread${extension}`, import.meta.url), { workerData: this.#options })
    thread.on('message', (answer: ReadAnswer) => this.#settle(thread, answer))
    thread.on('error', error => this.#end(thread, error))
    thread.on('exit', () => this.#end(thread, new Error('it was stopped')))
    return thread
  }

  #settle(thread: Worker, answer: ReadAnswer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if (this.#waiting.size === 0) thread.unref()
    if ('error' in answer) waiting?.reject(errorOf(answer.error))
    else if (waiting) rowsOf(answer).then(waiting.resolve, waiting.reject)
  }

  /** The thread has ended: what it has not answered fails, and the next query starts another one. */
  #end(thread: Worker, cause: Error): void {
    if (this.#thread !== thread) return
    this.#thread = undefined
    const error = new StoreUnavailable(`the reading thread ended: ${cause.message}`, { cause, reading: true })
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}

function errorOf({ message, code }: ReadFailure): Error {
  return code === undefined ? new Error(message) : new BetterSqlite3.SqliteError(message, code)
}

/** Reads the rows of an answer. Other requests get a turn after each part. */
async function rowsOf({ columns, parts }: Exclude<ReadAnswer, { error: unknown }>): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = []
  for (const part of parts) {
    if (rows.length > 0) await nextTurn()
    for (const values of JSON.parse(part) as unknown[][]) rows.push(objectOf(columns, values))
  }
  return rows
}

function objectOf(columns: string[], values: unknown[]): Record<string, unknown> {
  const row: Record<string, unknown> = {}
  for (const [i, column] of columns.entries()) row[column] = values[i]
  return row
}

/** The thread of `Reader` (reader.ts): it runs queries on a read-only connection of its own. */

import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import BetterSqlite3 from 'better-sqlite3'

/** A query as text with its values. `first`: only the first row is needed. */
export interface ReadRequest {
  id: number
  sql: string
  values: unknown[]
  first: boolean
}

/**
 * The rows as JSON: lists of values, a few rows per text. Copying texts between threads takes much less time than copying
 * objects. No column has bytes, which JSON cannot represent.
 */
export type ReadAnswer = { id: number; columns: string[]; parts: string[] } | { id: number; error: ReadFailure }

/** An error of SQLite. The code is lost when an error object is copied between threads. */
export interface ReadFailure {
  message: string
  code: string | undefined
}

/** What the thread is started with. */
export interface ReaderOptions {
  path: string
  /** Time that a query waits for a lock, in ms. */
  timeout: number
  /** Bytes of the file that are memory-mapped. */
  mapped: number
}

/** Rows per text. */
const ROWS_PER_PART = 10
/** Lower priority than the thread that serves requests: 0 is normal, 19 is lowest. */
const NICE = 5

const { path, timeout, mapped } = workerData as ReaderOptions
const db = new BetterSqlite3(path, { readonly: true, fileMustExist: true, timeout })
db.pragma('trusted_schema = OFF')
db.pragma('temp_store = MEMORY')
db.pragma(`mmap_size = ${mapped}`)
try {
  // On Linux this applies to the calling thread only.
  if (process.platform === 'linux') setPriority(0, NICE)
} catch {
  // Not allowed here: the thread keeps its priority.
}

parentPort?.on('message', (request: ReadRequest) => {
  parentPort?.postMessage(answerTo(request))
})

function answerTo({ id, sql, values, first }: ReadRequest): ReadAnswer {
  try {
    const statement = db.prepare<unknown[], unknown[]>(sql).raw()
    const found = first ? [statement.get(values)].filter(row => row !== undefined) : statement.all(values)
    const parts: string[] = []
    for (let row = 0; row < found.length; row += ROWS_PER_PART)
      parts.push(JSON.stringify(found.slice(row, row + ROWS_PER_PART)))
    return { id, columns: statement.columns().map(({ name }) => name), parts }
  } catch (error) {
    const { message, code } = error as { message: string; code?: string }
    return { id, error: { message, code } }
  }
}

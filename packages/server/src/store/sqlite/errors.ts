import BetterSqlite3 from 'better-sqlite3'
import { StoreUnavailable } from '../../domain/store.ts'
import { UniqueViolation } from '../query.ts'

/** The errors of SQLite, and the domain's errors that they become. */

/** Advice for a file that SQLite cannot read. */
export const DAMAGED =
  'If it is the right file, it is damaged: restore it from a backup, or copy what is left with `sqlite3 … .recover`.'

/** Runs a function, and adds advice to the error of a damaged file. */
export function withDamageAdvice<T>(run: () => T): T {
  try {
    return run()
  } catch (cause) {
    if (!(cause instanceof BetterSqlite3.SqliteError) || !/^SQLITE_(CORRUPT|NOTADB)/.test(cause.code)) throw cause
    throw new Error(`${cause.message}. ${DAMAGED}`, { cause })
  }
}

/** Whether an error is SQLite's error with this code, or the domain's error that it became. */
export function hasCode(error: unknown, code: 'SQLITE_FULL' | 'SQLITE_BUSY'): boolean {
  const found = error instanceof StoreUnavailable ? error.cause : error
  return found instanceof BetterSqlite3.SqliteError && found.code === code
}

/** Converts database errors to the domain's errors. Any other error is a bug and stays as it is. */
export function toDomainError(error: unknown): unknown {
  if (!(error instanceof BetterSqlite3.SqliteError)) return error
  if (error.code === 'SQLITE_CONSTRAINT_UNIQUE' || error.code === 'SQLITE_CONSTRAINT_PRIMARYKEY') {
    return new UniqueViolation(error.message.replace('UNIQUE constraint failed: ', ''), error)
  }
  if (/^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|CORRUPT|NOTADB|PROTOCOL)/.test(error.code)) {
    return new StoreUnavailable(`${error.code}: ${error.message}`, { cause: error })
  }
  return error
}

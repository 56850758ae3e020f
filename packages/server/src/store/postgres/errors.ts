import pg from 'pg'
import { OutcomeUnknown, StoreUnavailable } from '../../domain/store.ts'
import { UniqueViolation } from '../query.ts'

/** The errors of PostgreSQL and of its connections, and the domain's errors that they become. */

/** Decisions are never based on a read-only database: its data may be behind. */
export class ReadOnly extends StoreUnavailable {
  constructor() {
    super('this PostgreSQL accepts no writes, like a standby: its address must lead to the primary', {
      reading: true,
    })
  }
}

/** Advice for connection errors whose message does not tell what to do. */
const ADVICE: [RegExp, string][] = [
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'Use a host name in the URL that is in its certificate'],
  [/^(SELF_SIGNED|DEPTH_ZERO|UNABLE_TO)_/, 'Set the CA that signed its certificate: &sslrootcert=/path/ca.pem'],
  [/^CERT_HAS_EXPIRED$/, 'It needs a new certificate'],
  [/^The server does not support SSL/, 'It needs a certificate and ssl = on'],
  [/valid client certificate/, 'Set one and its key: &sslcert=/path/client.pem&sslkey=/path/client.key'],
]

/** Adds advice to the error of a connection that could not be made. */
export function withAdvice(error: unknown): unknown {
  const { message, cause } = error as Error & { cause?: { code?: string } }
  const known = [cause?.code ?? '', message]
  const [, advice] = ADVICE.find(([pattern]) => known.some(text => pattern.test(text))) ?? []
  return advice === undefined ? error : new Error(`${message}. ${advice}.`, { cause: error })
}

/** Whether a pooler rejected the time limits that a connection starts with. */
export const rejectsStartupParameters = (error: unknown): boolean =>
  /unsupported startup parameter/.test(String((error as Error).message))

/** Whether the database answered: then the connection is good, and the statement did nothing. */
export function isAnswer(error: unknown): error is pg.DatabaseError {
  // 57P01 to 57P03: the database is shutting down or starting.
  return error instanceof pg.DatabaseError && !/^(57P|08)/.test(error.code ?? '') && error.severity !== 'FATAL'
}

/** Whether the connection was open and then lost: the database terminated it (57P01, 57P02), or the network reset it. */
export const isLost = (error: unknown): boolean => {
  const { code = '', message } = error as pg.DatabaseError
  return /^(57P01|57P02|ECONNRESET|EPIPE)$/.test(code) || message === 'Connection terminated unexpectedly'
}

/** Whether the connection was silent until the timeout. */
export const isTimeout = (error: unknown): boolean => (error as Error).message === 'Query read timeout'

/** Whether the database accepts no writes. There may be a new primary by now: only a new connection finds it. */
export const isReadOnly = (error: unknown): boolean =>
  error instanceof ReadOnly || (error as pg.DatabaseError).code === '25006'

/**
 * PostgreSQL's error classes for a database that is too busy, too slow, full, read-only or shutting down, and for a
 * revoked grant.
 */
const UNAVAILABLE = /^(08|25006|40001|40P01|42501|53|55P03|57|58|XX)/

/** An error of the statement `commit` itself. */
export const duringCommit = (error: unknown): unknown => Object.assign(error as Error, { committing: true })

/** Converts database errors to the domain's errors. Any other error is a bug and stays as it is. */
export function toDomainError(error: unknown, writing: boolean): unknown {
  if (error instanceof StoreUnavailable) return error
  if (!(error instanceof Error)) return error
  const { code = '', committing } = error as pg.DatabaseError & { committing?: true }
  if (code === '23505') return uniqueViolation(error as pg.DatabaseError)
  if (isAnswer(error)) {
    return UNAVAILABLE.test(code)
      ? new StoreUnavailable(`${code}: ${error.message}`, { cause: error, reading: !writing })
      : error
  }
  return writing || committing
    ? new OutcomeUnknown(error.message, { cause: error })
    : new StoreUnavailable(error.message, { cause: error, reading: !writing })
}

function uniqueViolation({ message, table, detail = '' }: pg.DatabaseError): UniqueViolation {
  const columns = /^Key \(([^)]*)\)=/.exec(detail)?.[1] ?? ''
  const names = columns.split(', ').map(column => `${table}.${column}`)
  return new UniqueViolation(names.join(', '), new Error(message))
}

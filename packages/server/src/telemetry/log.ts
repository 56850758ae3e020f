import { type Logger, pino } from 'pino'

/** Buffered characters after which the log is written. */
const BUFFER_SIZE = 4_096
/** Maximum time that a line is buffered, in ms. */
const FLUSH_DELAY = 100

/**
 * Creates a log that writes JSON lines to standard output. Lines are buffered, because a system call for each would
 * cost more than the line itself. One write is at most what a pipe accepts as one piece, so that lines of several
 * processes are not mixed.
 */
export function makeLog(level: string): Logger {
  let lines = ''
  let later: NodeJS.Timeout | undefined
  const flush = () => {
    clearTimeout(later)
    later = undefined
    if (lines !== '') process.stdout.write(lines)
    lines = ''
  }
  // Keep running if the reader of the log is gone.
  process.stdout.on('error', () => {})
  process.once('exit', flush)
  const output = {
    write(line: string) {
      if (lines.length + line.length > BUFFER_SIZE) flush()
      lines += line
      if (lines.length >= BUFFER_SIZE) flush()
      else later ??= setTimeout(flush, FLUSH_DELAY).unref()
    },
    // `log.fatal` calls this: its line may be the last one.
    flushSync: flush,
  }
  return pino({ level }, output)
}

/** Returns the same log, which writes errors without anything that could be a secret. */
export function safeLog(log: Logger): Logger {
  return log.child({}, { serializers: { err: errorForLog } })
}

interface LoggedError {
  type: string
  message: string
  code?: string
  stack?: string
  cause?: LoggedError
}

/**
 * Converts an error for the log. Only the members that identify the problem are kept, because others may contain
 * anything, for example a request that was sent. Messages and stacks should not contain secrets; if one does, it is cut
 * out.
 */
export function errorForLog(error: unknown, depth = 0): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: redact(String(error)) }
  const { name, message, stack, cause, code } = error as Error & { code?: unknown }
  return {
    type: name,
    message: redact(message),
    ...(typeof code === 'string' ? { code } : {}),
    ...(stack === undefined ? {} : { stack: redact(stack) }),
    ...(cause === undefined || depth >= MAX_CAUSES ? {} : { cause: errorForLog(cause, depth + 1) }),
  }
}

const MAX_CAUSES = 4

/** Shortens secret keys and everything in the form of a JWT: tickets, client cookies, session and handshake tokens. */
function redact(text: string): string {
  return text.replace(/\bsk_(test|live)_[\w-]+/g, 'sk_$1_…').replace(/\beyJ[\w-]+\.[\w-]*\.?[\w-]*/g, 'eyJ…')
}

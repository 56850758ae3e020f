import { type Logger, pino } from 'pino'

/** JSON lines on standard output. */
export function makeLog(level: string): Logger {
  return pino({ level })
}

/** The same log; errors in it are shown without what could be a secret. */
export function safeLog(log: Logger): Logger {
  return log.child({}, { serializers: { err: shownError } })
}

interface ShownError {
  type: string
  message: string
  code?: string
  stack?: string
  cause?: ShownError
}

/**
 * An error as the log has it. Only what names the trouble: an error's other members may hold anything, a request that
 * was sent for instance. Its texts are ours or a library's, and should hold no secret; if one does, it is cut.
 */
export function shownError(error: unknown, depth = 0): ShownError {
  if (!(error instanceof Error)) return { type: typeof error, message: cut(String(error)) }
  const { name, message, stack, cause, code } = error as Error & { code?: unknown }
  return {
    type: name,
    message: cut(message),
    ...(typeof code === 'string' ? { code } : {}),
    ...(stack === undefined ? {} : { stack: cut(stack) }),
    ...(cause === undefined || depth >= MAX_CAUSES ? {} : { cause: shownError(cause, depth + 1) }),
  }
}

const MAX_CAUSES = 4

/** Secret keys, and everything that is a JWT in form: tickets, client cookies, session and handshake tokens. */
function cut(text: string): string {
  return text.replace(/\bsk_(test|live)_[\w-]+/g, 'sk_$1_…').replace(/\beyJ[\w-]+\.[\w-]*\.?[\w-]*/g, 'eyJ…')
}

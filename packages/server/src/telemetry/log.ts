import { type Logger, pino } from 'pino'

/** Lines are gathered until there are so many characters of them, and for so long, ms. */
const GATHERED = 4_096
const GATHERING = 100

/**
 * JSON lines on standard output, a few at a time: a system call for each would cost more than the line itself. Not more
 * than a pipe takes as one piece, so that lines of several processes do not get mixed.
 * @param worker the number of this process, if several write to the same output
 */
export function makeLog(level: string, worker?: number): Logger {
  let lines = ''
  let later: NodeJS.Timeout | undefined
  const flush = () => {
    clearTimeout(later)
    later = undefined
    if (lines !== '') process.stdout.write(lines)
    lines = ''
  }
  // A server whose log nobody reads any more goes on.
  process.stdout.on('error', () => {})
  process.once('exit', flush)
  const output = {
    write(line: string) {
      if (lines.length + line.length > GATHERED) flush()
      lines += line
      if (lines.length >= GATHERED) flush()
      else later ??= setTimeout(flush, GATHERING).unref()
    },
    // What `log.fatal` calls: that line may be the last.
    flushSync: flush,
  }
  const log = pino({ level }, output)
  return worker === undefined ? log : log.child({ worker })
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

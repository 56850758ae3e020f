import type { AnswerHeaders } from './answer.ts'
import type { HeaderReader } from './headers.ts'

/** Browsers keep a cookie for 400 days at most. */
const MAX_AGE_SECONDS = 34_560_000

/** How a browser shows which client it is, and is told. */
export interface ClientToken {
  kind: 'cookie' | 'header'
  /** Every token shown: someone else on the domain may have planted a cookie beside ours. */
  shown: string[]
  keep(token: string): void
  forget(): void
}

/** The `__client` cookie: never readable by scripts, never sent by other sites’ requests but for navigation. */
export function clientCookie(
  header: HeaderReader,
  answer: AnswerHeaders,
  { secure, path }: { secure: boolean; path: string },
): ClientToken {
  const set = (value: string, maxAge: number) => {
    answer['set-cookie'] =
      `__client=${value}; Path=${path}; Max-Age=${maxAge}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
  }
  return {
    kind: 'cookie',
    shown: (header('cookie') ?? '')
      .split(';')
      .map(pair => pair.trim())
      .filter(pair => pair.startsWith('__client='))
      .map(pair => pair.slice('__client='.length)),
    keep: token => set(token, MAX_AGE_SECONDS),
    forget: () => set('', 0),
  }
}

/** Apps without cookies (`_is_native=1`): the bare token in Authorization, both ways. Cookies count for nothing then. */
export function clientHeader(header: HeaderReader, answer: AnswerHeaders): ClientToken {
  const token = header('authorization')
  return {
    kind: 'header',
    shown: token ? [token] : [],
    keep: kept => {
      answer.authorization = kept
    },
    forget: () => {
      answer.authorization = ''
    },
  }
}

import type { AnswerHeaders } from '../answer.ts'
import type { HeaderReader } from '../headers.ts'

/** Browsers keep a cookie for at most 400 days. */
const MAX_AGE_SECONDS = 34_560_000

/** How a browser sends its client token, and receives a new one. */
export interface ClientToken {
  kind: 'cookie' | 'header'
  /** Every token in the request. There may be several, because another site of the domain can set a cookie too. */
  shown: string[]
  keep(token: string): void
  forget(): void
}

/** Uses the `__client` cookie. Scripts cannot read it, and requests of other sites do not send it, except for navigation. */
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

/** For apps without cookies (`_is_native=1`): the token is in the Authorization header of request and answer. Cookies are ignored. */
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

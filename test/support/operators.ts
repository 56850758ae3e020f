import type { Role } from '../../packages/server/src/contract/operation.ts'
import { signInWithProvider } from '../../packages/server/src/domain/operator-sessions.ts'
import { SESSION_COOKIE } from '../../packages/server/src/http/auth/operator.ts'
import { type Answer, expectOk, type TestServer } from './server.ts'

/** Operators of the console, signed in without a browser. */

/** The origin of the console of a server that is called in process. */
export const CONSOLE = 'http://localhost:4100'

/** The headers of a request that a page of the console sends. */
export const FROM_CONSOLE = {
  authorization: undefined,
  host: new URL(CONSOLE).host,
  origin: CONSOLE,
  'sec-fetch-site': 'same-origin',
  'content-type': 'application/json',
}

export interface TestOperator {
  id: string
  session_id: string
  /** The `sub` with which the operator acts. */
  sub: string
  cookie: string
  /** Sends a request of the Backend API as this operator: `call('GET', '/v1/users')`. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string | undefined>): Promise<Answer>
}

/**
 * Signs in an operator as an identity provider would.
 * @param options.auth_at when the operator proved who they are. Default: now. Null: not known
 */
export async function operatorOf(
  server: TestServer,
  role: Role,
  options: { sub?: string; auth_at?: number | null; name?: string; email?: string; groups?: string[] } = {},
): Promise<TestOperator> {
  const ctx = server.stagedoor.context({ type: 'system', id: null })
  const sub = options.sub ?? `${role}-${ctx.random.bytes(6).toString('hex')}`
  const identity = {
    iss: 'https://idp.example',
    sub,
    actor_sub: sub,
    name: options.name ?? `The ${role}`,
    email: options.email ?? `${role}@example.com`,
    groups: options.groups ?? [],
    role,
    auth_at: options.auth_at === undefined ? ctx.clock.now() : options.auth_at,
    amr: ['pwd', 'otp'],
  }
  const { operator, session, secret } = await signInWithProvider(ctx, identity, NEW_SESSION)
  const cookie = `${SESSION_COOKIE}=${secret}`
  return {
    id: operator.id,
    session_id: session.id,
    sub,
    cookie,
    call: (method, path, body, headers = {}) =>
      server.call(method, `/console/api${path}`, body, { ...FROM_CONSOLE, cookie, ...headers }),
  }
}

const NEW_SESSION = {
  secret_hash: '',
  kind: 'provider',
  return_to: '/console',
  session_id: null,
  is_step_up: 0,
  operator_id: null,
  role: null,
  expires_at: 0,
} as const

/** The session that a browser has after the sign-in of an answer, as a Cookie header. */
export function sessionCookieOf(answer: Answer): string {
  const cookies = answer.headers.getSetCookie().map(cookie => cookie.split(';')[0] ?? '')
  return cookies.find(cookie => /^__Host-stagedoor_operator=./.test(cookie)) ?? ''
}

/** Signs in with the link of a development server. @returns the Cookie header */
export async function developmentCookie(server: TestServer, link: string): Promise<string> {
  const token = new URL(link).hash.slice(1)
  const answer = await server.call('POST', '/console/join', { token }, FROM_CONSOLE)
  expectOk(answer)
  return sessionCookieOf(answer)
}

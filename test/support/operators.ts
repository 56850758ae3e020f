import type { Role } from '../../packages/server/src/contract/operation.ts'
import { newFactsVersion } from '../../packages/server/src/domain/actors.ts'
import { auditEvent } from '../../packages/server/src/domain/audit/event.ts'
import { hashOf, newSecret } from '../../packages/server/src/domain/operators.ts'
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
 * Signs in an operator, as an identity provider would.
 * @param options.auth_at when the operator proved who they are. Default: now. Null: not known
 */
export async function operatorOf(
  server: TestServer,
  role: Role,
  options: { sub?: string; auth_at?: number | null; name?: string; email?: string } = {},
): Promise<TestOperator> {
  const { services } = server.stagedoor
  const ctx = server.stagedoor.context({ type: 'system', id: null })
  const now = ctx.clock.now()
  const sub = options.sub ?? `${role}-${services.random.bytes(6).toString('hex')}`
  const known = await ctx.store.operators.findByIdentity('https://idp.example', sub)
  const operator = {
    id: known?.id ?? ctx.random.id('opr', now),
    iss: 'https://idp.example',
    sub,
    actor_sub: sub,
    local_name: null,
    role,
    role_source: 'claim' as const,
    name: options.name ?? `The ${role}`,
    email: options.email ?? `${role}@example.com`,
    disabled_at: null,
    last_sign_in_at: now,
    created_at: now,
    updated_at: now,
  }
  const secret = newSecret(ctx)
  const session = {
    id: ctx.random.id('ops', now),
    operator_id: operator.id,
    secret_hash: hashOf(secret),
    role,
    auth_at: options.auth_at === undefined ? now : options.auth_at,
    amr: '["pwd","otp"]',
    user_agent: null,
    address: null,
    last_seen_at: now,
    idle_expires_at: now + 1_800_000,
    expires_at: now + 28_800_000,
    ended_at: null,
    created_at: now,
  }
  const actor = {
    sub,
    sub_folded: sub.toLowerCase(),
    kind: 'operator' as const,
    name: operator.name,
    teams: '[]',
    organizations: '[]',
    level: 0,
    user_id: null,
    owner_sub: null,
    disabled_at: null,
    facts_version: newFactsVersion(ctx),
    created_at: now,
    updated_at: now,
  }
  const event = eventOf(server, session.id)
  if (!(await ctx.store.operators.signIn({ operator, session, actor, keepsTeams: true, event })))
    throw new Error('the operator is disabled')
  const cookie = `__Host-stagedoor_operator=${secret}`
  return {
    id: operator.id,
    session_id: session.id,
    sub,
    cookie,
    call: (method, path, body, headers = {}) =>
      server.call(method, `/console/api${path}`, body, { ...FROM_CONSOLE, cookie, ...headers }),
  }
}

const eventOf = (server: TestServer, target_id: string) =>
  auditEvent(server.stagedoor.context({ type: 'system', id: null }), {
    action: 'operator.sign_in',
    about: {},
    target_id,
  })

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

/** The requests of the tests, in the form for `Connection.request`. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer, Connection, Request } from './connection.ts'

/** Long enough that nothing expires during a test: only requests end things. */
export const LASTING = { expires_in_seconds: 86_400, session_max_duration_in_seconds: 86_400 }

export function requests(key: string) {
  return {
    createUser: (): Request => ({ path: '/v1/users', json: {}, key }),
    ban: (user: string): Request => ({ path: `/v1/users/${user}/ban`, key }),
    deleteUser: (user: string): Request => ({ method: 'DELETE', path: `/v1/users/${user}`, key }),
    createActorToken: (user_id: string, fields: object = LASTING): Request => ({
      path: '/v1/actor_tokens',
      json: { user_id, actor: { sub: 'olivia@support' }, ...fields },
      key,
    }),
    revokeActorToken: (id: string): Request => ({ path: `/v1/actor_tokens/${id}/revoke`, key }),
    /** As a browser redeems. */
    redeem: (ticket: string, cookie?: string): Request => ({
      path: '/v1/client/sign_ins',
      form: { strategy: 'ticket', ticket },
      cookie,
    }),
    /** As a backend redeems. */
    accept: (ticket: string): Request => ({ path: '/v1/actor_tokens/accept', json: { ticket }, key }),
    /** Gives a browser without a cookie its first one. */
    greet: (): Request => ({ method: 'GET', path: '/v1/client' }),
    mint: (session: string, cookie: string): Request => ({
      path: `/v1/client/sessions/${session}/tokens`,
      form: {},
      cookie,
    }),
    mintByKey: (session: string): Request => ({ path: `/v1/sessions/${session}/tokens`, key }),
    revokeSession: (session: string): Request => ({ path: `/v1/sessions/${session}/revoke`, key }),
    revokeAll: (whose: object): Request => ({ path: '/v1/sessions/revoke_all', json: whose, key }),
    jwks: (): Request => ({ method: 'GET', path: '/.well-known/jwks.json' }),
  }
}

/** Returns the answer, which must be 200. */
export async function ok(connection: Connection, request: Request): Promise<Answer> {
  const answer = await connection.request(request)
  if (answer.status !== 200) throw unexpected(request, answer)
  return answer
}

const unexpected = ({ path }: Request, { status, text }: Answer) => new Error(`${path} answered ${status}: ${text}`)

/** How often a request is sent that a busy server answers with 503. */
const ATTEMPTS = 50

/** The same for what a test needs before it begins: a busy machine may make the server refuse it at first. */
async function prepared(connection: Connection, request: Request): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    const answer = await connection.request(request)
    if (answer.status === 200) return answer
    if (answer.status !== 503 || attempt === ATTEMPTS) throw unexpected(request, answer)
    await sleep(100)
  }
}

export interface Ticket {
  id: string
  token: string
  user_id: string
}

/** Creates `count` pending tickets, of one user or of one each, over several connections at once. */
export async function makeTickets(
  connections: Connection[],
  key: string,
  count: number,
  { user, fields }: { user?: string; fields?: object } = {},
): Promise<Ticket[]> {
  const ask = requests(key)
  const made: Ticket[] = []
  let left = count
  await Promise.all(
    connections.map(async connection => {
      while (left-- > 0) {
        const user_id = user ?? (await prepared(connection, ask.createUser())).body.id
        const { id, token } = (await prepared(connection, ask.createActorToken(user_id, fields))).body
        made.push({ id, token, user_id })
      }
    }),
  )
  return made
}

/** Redeems a ticket. Returns the id of the session and the browser's cookie. */
export async function signIn(connection: Connection, key: string, ticket: Ticket) {
  const answer = await ok(connection, requests(key).redeem(ticket.token))
  return { id: answer.body.response.created_session_id as string, cookie: answer.cookie ?? '', ticket }
}

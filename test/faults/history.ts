/** The requests and answers of clients about one ticket, and the rules that a ticket must follow. */
import { type Answer, Broken, type Connection, type Request } from './connection.ts'
import type { Model, Operation } from './linearizable.ts'

/** Requests about one user, one ticket and the one session that it can begin. */
export type Asked =
  | { do: 'redeem'; browser: number }
  /** With the secret key, or with the browser's cookie, which a repeated redemption may have replaced. */
  | { do: 'mint'; session: string; by: 'key' | 'cookie' }
  | { do: 'revoke ticket' }
  | { do: 'revoke session' }
  | { do: 'ban' | 'delete' }

/** `done` or the error code. Only redemptions return the session. */
export interface Said {
  code: 'done' | string
  session?: string
}

export type TicketOperation = Operation<Asked, Said> & {
  /** Time of the answer by the wall clock, Unix ms. */
  at: number
  /** The `iat` of a minted token, Unix ms. */
  iat?: number
}

/** Sends a request and records it. Leaves out requests that had no effect: never sent, or refused with 503. */
export async function recorded(
  history: TicketOperation[],
  client: number,
  input: Asked,
  connection: Connection,
  request: Request,
): Promise<Answer | undefined> {
  let call = 0
  try {
    await connection.open()
    call = performance.now()
    const answer = await connection.request(request)
    if (answer.code === 'outcome_unknown') throw new Broken(true, 'the outcome is unknown')
    if (answer.status === 503) return answer
    // A server that was frozen for long may find that the request took too long to arrive.
    if (answer.status === 408) throw new Broken(true, 'the request took too long to arrive')
    if (answer.status >= 500) throw new Error(`${request.path} answered ${answer.status}: ${answer.text}`)
    const done = answer.status === 200
    const operation: TicketOperation = {
      client,
      input,
      output: { code: done ? 'done' : (answer.code ?? String(answer.status)) },
      call,
      return: performance.now(),
      at: Date.now(),
    }
    if (done && input.do === 'redeem')
      operation.output = { code: 'done', session: answer.body.response.created_session_id }
    if (done && input.do === 'mint')
      operation.iat = JSON.parse(Buffer.from(answer.body.jwt.split('.')[1], 'base64url').toString()).iat * 1_000
    history.push(operation)
    return answer
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    if (error.sent) history.push({ client, input, output: undefined, call, return: Number.POSITIVE_INFINITY, at: 0 })
    return undefined
  }
}

interface TicketState {
  user: 'fine' | 'banned' | 'deleted'
  ticket: 'pending' | 'revoked' | 'accepted'
  /** The browser that redeemed it. */
  browser: number | null
  /** Null until a client has received it. */
  session: string | null
  active: boolean
}

/** A ticket is redeemed at most once, by the first request; a revocation takes effect at once and is final. */
export const ticketModel: Model<TicketState, Asked, Said> = {
  looks: input => input.do === 'mint',
  start: { user: 'fine', ticket: 'pending', browser: null, session: null, active: false },

  step(state, input, output) {
    const { user, ticket, browser, session, active } = state
    const redeemable = ticket === 'pending' && user === 'fine'
    const done = output === undefined || output.code === 'done'
    switch (input.do) {
      case 'redeem': {
        const told = output?.session ?? null
        if (done && redeemable)
          return { ...state, ticket: 'accepted', browser: input.browser, session: told, active: true }
        if (output === undefined) return state
        // The browser that redeemed the ticket may repeat the request.
        if (done && active && browser === input.browser && (session ?? told) === told)
          return { ...state, session: told }
        if (done) return undefined
        const refusals = {
          pending: undefined,
          accepted: 'actor_token_already_used_code',
          revoked: 'actor_token_revoked_code',
        }
        return refusals[ticket] === output.code ? state : undefined
      }
      case 'mint':
        if (output === undefined) return state
        if (done) return active && (session ?? input.session) === input.session ? state : undefined
        return input.by === 'cookie' || !active ? state : undefined
      case 'revoke ticket':
        if (ticket === 'pending') return done ? { ...state, ticket: 'revoked' } : undefined
        return output === undefined || !done ? state : undefined
      case 'revoke session':
        if (output !== undefined && (!done || ticket !== 'accepted')) return undefined
        return { ...state, active: false }
      case 'ban':
      case 'delete': {
        if (user === 'deleted') return output === undefined || !done ? state : undefined
        if (!done) return undefined
        return {
          ...state,
          user: input.do === 'ban' ? 'banned' : 'deleted',
          ticket: ticket === 'pending' ? 'revoked' : ticket,
          active: false,
        }
      }
    }
  },
}

/** Returns tokens dated after the answer to a request that ended their session. Valid only if no clock was moved. */
export function mintedTooLate(history: TicketOperation[]): TicketOperation[] {
  const ends = history.filter(
    ({ input, output }) => ['revoke session', 'ban', 'delete'].includes(input.do) && output?.code === 'done',
  )
  const over = Math.min(...ends.map(({ at }) => at))
  return history.filter(({ iat }) => iat !== undefined && iat > over)
}

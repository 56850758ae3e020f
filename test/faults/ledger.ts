/** A load of every kind of write, and a record of acknowledged writes, which must survive every fault. */
import { type Answer, Broken, type Connection, type Request } from './connection.ts'
import type { FaultDatabase } from './database.ts'
import type { Random } from './goal.ts'
import type { requests, Ticket } from './requests.ts'

/** Number of recent revocations that are tested against the server itself. */
const SAMPLE = 4

export class Ledger {
  /** Writes answered with 200. */
  acknowledged = 0
  /** Writes answered with 5xx. */
  failed = 0
  /** Answers that are wrong under any fault. */
  readonly odd: string[] = []
  readonly #ask: ReturnType<typeof requests>
  readonly #user: string
  readonly #random: Random
  /** Records for the next requests; each is used by one request. */
  readonly #pending: Ticket[] = []
  readonly #open: { id: string; cookie: string; actor_token_id: string }[] = []
  /** What was acknowledged. */
  readonly #created = new Set<string>()
  readonly #redeemed = new Map<string, string>()
  readonly #revokedTickets = new Map<string, Ticket>()
  readonly #revokedSessions = new Map<string, { id: string; cookie: string }>()
  /** Requests without an answer or with a 5xx: they may or may not have had an effect. */
  readonly #unknown = new Set<string>()

  constructor(ask: ReturnType<typeof requests>, user: string, random: Random) {
    this.#ask = ask
    this.#user = user
    this.#random = random
  }

  /** Sends one random request. */
  async something(connection: Connection): Promise<void> {
    const chance = this.#random.next()
    const ticket = chance > 0.35 ? this.#pending.pop() : undefined
    const session = chance > 0.6 && !ticket ? this.#open.pop() : undefined
    if (session) {
      const minted = await this.#asked(connection, this.#ask.mint(session.id, session.cookie), '')
      if (minted && minted.status !== 200) this.odd.push(`mint: ${minted.text}`)
      if (chance < 0.75) return void this.#open.push(session)
      const revoked = await this.#asked(connection, this.#ask.revokeSession(session.id), session.id)
      if (revoked?.status === 200) this.#write(() => this.#revokedSessions.set(session.id, session))
    } else if (ticket && chance < 0.5) {
      const revoked = await this.#asked(connection, this.#ask.revokeActorToken(ticket.id), ticket.id)
      if (revoked?.status === 200) this.#write(() => this.#revokedTickets.set(ticket.id, ticket))
    } else if (ticket) {
      const redeemed = await this.#asked(connection, this.#ask.redeem(ticket.token), ticket.id)
      if (redeemed?.status !== 200) return
      const id = redeemed.body.response.created_session_id as string
      this.#write(() => this.#redeemed.set(ticket.id, id))
      this.#open.push({ id, cookie: redeemed.cookie ?? '', actor_token_id: ticket.id })
    } else {
      const created = await this.#asked(connection, this.#ask.createActorToken(this.#user), '')
      if (created?.status !== 200) return
      const { id, token } = created.body
      this.#write(() => this.#created.add(id))
      this.#pending.push({ id, token, user_id: this.#user })
    }
  }

  /**
   * Returns acknowledged writes that the database does not have.
   * @param others tickets that other code redeems
   */
  async lost(database: FaultDatabase, others: ReadonlySet<string> = new Set()): Promise<string[]> {
    const tickets = await database.rows<{ id: string; status: string; session_id: string | null }>(
      'select id, status, session_id from actor_tokens',
    )
    const sessions = await database.rows<{ id: string; status: string }>('select id, status from sessions')
    const events = await database.rows<{ action: string; about: string }>(
      "select action, coalesce(session_id, actor_token_id) as about from audit_events where outcome = 'done'",
    )
    const ticketOf = new Map(tickets.map(row => [row.id, row]))
    const statusOf = new Map(sessions.map(row => [row.id, row.status]))
    const recorded = new Set(events.map(row => `${row.action} ${row.about}`))
    const lost: string[] = []
    const holds = (what: string, ...conditions: boolean[]) => {
      if (conditions.includes(false)) lost.push(what)
    }
    for (const id of this.#created) holds(`created ${id}`, ticketOf.has(id), recorded.has(`actor_token.create ${id}`))
    for (const [id, session] of this.#redeemed)
      holds(
        `redeemed ${id}`,
        ticketOf.get(id)?.status === 'accepted',
        ticketOf.get(id)?.session_id === session,
        statusOf.has(session),
        recorded.has(`actor_token.accept ${session}`),
      )
    for (const id of this.#revokedTickets.keys())
      holds(`revoked ${id}`, ticketOf.get(id)?.status === 'revoked', recorded.has(`actor_token.revoke ${id}`))
    for (const id of this.#revokedSessions.keys())
      holds(`revoked ${id}`, statusOf.get(id) === 'revoked', recorded.has(`session.revoke ${id}`))
    for (const { id, status, session_id } of tickets) {
      const told = this.#redeemed.has(id) || this.#unknown.has(id) || others.has(id)
      if (status === 'accepted' && (!told || !statusOf.has(session_id ?? '')))
        lost.push(`${id} is accepted, and ${told ? 'there is no session' : 'no request redeemed it'}`)
    }
    return lost
  }

  /** Returns how many writes that were refused or unanswered are stored nevertheless. */
  async happened(database: FaultDatabase): Promise<number> {
    const changed = await database.rows<{ id: string }>(
      "select id from actor_tokens where status <> 'pending' union all select id from sessions where status = 'revoked'",
    )
    return changed.filter(({ id }) => this.#unknown.has(id)).length
  }

  /** Returns recent revocations that a server does not apply. */
  async revived(connection: Connection): Promise<string[]> {
    const revived: string[] = []
    for (const { id, cookie } of [...this.#revokedSessions.values()].slice(-SAMPLE)) {
      const { status } = await connection.request(this.#ask.mint(id, cookie))
      if (status !== 401) revived.push(`revoked ${id}: mint answered ${status}`)
    }
    for (const { id, token } of [...this.#revokedTickets.values()].slice(-SAMPLE)) {
      const { code } = await connection.request(this.#ask.redeem(token))
      if (code !== 'actor_token_revoked_code') revived.push(`revoked ${id}: redeem answered ${code}`)
    }
    return revived
  }

  #write(note: () => void): void {
    this.acknowledged++
    note()
  }

  async #asked(connection: Connection, request: Request, about: string): Promise<Answer | undefined> {
    try {
      const answer = await connection.request(request)
      if (answer.status < 500) return answer
      this.failed++
      this.#unknown.add(about)
      if (!['service_unavailable', 'outcome_unknown'].includes(answer.code ?? ''))
        this.odd.push(`${request.path} answered ${answer.status}: ${answer.text}`)
    } catch (error) {
      if (!(error instanceof Broken)) throw error
      this.#unknown.add(about)
    }
    return undefined
  }
}

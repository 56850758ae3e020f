/** Races of many attempts for one ticket, and the check of what is stored afterwards. */
import { Broken, type Connection } from './connection.ts'
import type { FaultDatabase } from './database.ts'
import { requests, type Ticket } from './requests.ts'

export class Race {
  /** Attempts that may have reached a server. */
  attempts = 0
  readonly tickets = new Set<string>()
  /** Ticket → sessions that answers returned for it. */
  readonly won = new Map<string, Set<string>>()
  unknown = 0
  /** Attempts answered with 503. */
  unavailable = 0
  /** Answers that are neither a session nor "already used". */
  readonly odd: string[] = []

  /** Retries until the request was sent; its outcome may then be unknown. */
  async attempt(connection: Connection, ticket: Ticket): Promise<void> {
    this.tickets.add(ticket.id)
    for (;;) {
      try {
        const answer = await connection.request(requests('').redeem(ticket.token))
        this.attempts++
        if (answer.status === 200) {
          const session = answer.body.response.created_session_id as string
          const sessions = this.won.get(ticket.id)
          if (sessions) sessions.add(session)
          else this.won.set(ticket.id, new Set([session]))
        } else if (answer.code === 'outcome_unknown') this.unknown++
        else if (answer.status === 503) this.unavailable++
        else if (answer.code !== 'actor_token_already_used_code') this.odd.push(answer.text)
        return
      } catch (error) {
        if (!(error instanceof Broken)) throw error
        if (error.sent) {
          this.attempts++
          this.unknown++
          return
        }
      }
    }
  }
}

/** Checks that the three places in the database agree with each other and with every answer. */
export async function wrongs(database: FaultDatabase, won: Race['won']): Promise<string[]> {
  const sessions = await database.rows<{ id: string; actor_token_id: string }>(
    'select id, actor_token_id from sessions',
  )
  const tickets = await database.rows<{ id: string; session_id: string }>(
    "select id, session_id from actor_tokens where status = 'accepted'",
  )
  const events = await database.rows<{ actor_token_id: string; session_id: string }>(
    "select actor_token_id, session_id from audit_events where action = 'actor_token.accept' and outcome = 'done'",
  )
  const pairs = (rows: string[]) => rows.sort().join('\n')
  const bySession = pairs(sessions.map(row => `${row.actor_token_id} ${row.id}`))
  const byTicket = pairs(tickets.map(row => `${row.id} ${row.session_id}`))
  const byEvent = pairs(events.map(row => `${row.actor_token_id} ${row.session_id}`))
  const wrong: string[] = []
  if (bySession !== byTicket) wrong.push(`${sessions.length} sessions, ${tickets.length} accepted tickets`)
  if (byTicket !== byEvent) wrong.push(`${tickets.length} accepted tickets, ${events.length} events of that`)
  const accepted = new Map(tickets.map(row => [row.id, row.session_id]))
  for (const [ticket, answered] of won) {
    if (answered.size > 1) wrong.push(`${ticket} was redeemed ${answered.size} times: ${[...answered]}`)
    for (const session of answered)
      if (accepted.get(ticket) !== session) wrong.push(`${ticket} was answered with ${session}, which is not stored`)
  }
  if (new Set(sessions.map(row => row.actor_token_id)).size !== sessions.length)
    wrong.push('two sessions have one ticket')
  return [...wrong, ...(await database.damage())]
}

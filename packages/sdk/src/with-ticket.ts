import { failure } from './errors.ts'

interface Token {
  id: string
  status: string
  token?: string | undefined
  url?: string | null | undefined
}

/** Of a token whose ticket opens nothing any more. */
const GONE = ['accepted', 'revoked']

/**
 * What creating a token gives: with its ticket. The server repeats an answer for the same idempotency key, but not the
 * ticket of a token that has been redeemed or revoked in the meantime.
 * @throws StagedoorError `ticket_unavailable`
 */
export function withTicket<T extends Token>(created: T): T & { token: string; url: string } {
  if (created.token === undefined && GONE.includes(created.status)) {
    throw failure(
      'ticket_unavailable',
      `Token ${created.id} was created with this idempotency key before, and is ${created.status} now. Its ticket is not shown again`,
      'Use a new idempotency key to create another token.',
    )
  }
  return created as T & { token: string; url: string }
}

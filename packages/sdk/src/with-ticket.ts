import { failure } from './errors.ts'

interface Token {
  id: string
  status: string
  token?: string | undefined
  url?: string | null | undefined
}

/** Statuses of a token whose ticket can no longer be redeemed. */
const GONE = ['accepted', 'revoked']

/**
 * Returns a created token, which has its ticket. For a repeated idempotency key, the server returns the first token again,
 * but without its ticket if that token has been redeemed or revoked since.
 * @throws StagedoorError `ticket_unavailable`
 */
export function withTicket<T extends Token>(created: T): T & { token: string; url: string } {
  if (created.token === undefined && GONE.includes(created.status)) {
    throw failure(
      'ticket_unavailable',
      `Token ${created.id} was already created with this idempotency key and is now ${created.status}. Its ticket is not shown again`,
      'Use a new idempotency key to create another token.',
    )
  }
  return created as T & { token: string; url: string }
}

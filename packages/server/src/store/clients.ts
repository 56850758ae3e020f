import type { ClientRecord } from '../domain/records.ts'
import type { Store } from '../domain/store.ts'
import { type Database, now, param, prepared, recordEvent, sqlFor } from './query.ts'

const find = prepared<{ id: string }, ClientRecord>(
  sqlFor.selectFrom('clients').selectAll().where('id', '=', param('id')),
)

const select = prepared<{ id: string; session_id: string }, { id: string }>(
  sqlFor
    .updateTable('clients')
    .set({ last_active_session_id: param('session_id'), updated_at: now })
    .where('id', '=', param('id'))
    .where(eb =>
      eb.exists(
        eb
          .selectFrom('sessions')
          .select('sessions.id')
          .where('sessions.id', '=', param('session_id'))
          .where('sessions.client_id', '=', param('id'))
          .where('sessions.status', '=', 'active'),
      ),
    )
    .returning('id'),
)

const renew = prepared<{ id: string; token_hash: string; presented_hash: string }, { id: string }>(
  sqlFor
    .updateTable('clients')
    .set({ rotating_token_hash: param('token_hash') })
    .where('id', '=', param('id'))
    .where('previous_token_hash', '=', param('presented_hash'))
    .returning('id'),
)

const forgetPreviousToken = prepared<{ id: string; token_hash: string }>(
  sqlFor
    .updateTable('clients')
    .set({ previous_token_hash: null })
    .where('id', '=', param('id'))
    .where('rotating_token_hash', '=', param('token_hash')),
)

export function clients(db: Database): Store['clients'] {
  return {
    find: id => db.get(find({ id })),

    async select(id, session_id, event) {
      return (
        (await db.transition({ query: select({ id, session_id }), required: true }, recordEvent(event))) !== undefined
      )
    },

    async renew(id, token_hash, presented_hash, event) {
      const renewed = await db.transition(
        { query: renew({ id, token_hash, presented_hash }), required: true },
        recordEvent(event),
      )
      return renewed !== undefined
    },

    async forgetPreviousToken(id, token_hash) {
      await db.transition({ query: forgetPreviousToken({ id, token_hash }), revokes: true })
    },
  }
}

import type { Migration } from './migration.ts'

/** Columns of audit events that lists filter by, each with few events per value. */
const RARE = ['session_id', 'actor_token_id', 'trace_id']
/** The same, with any number of events per value. */
const FREQUENT = ['user_id', 'actor_sub', 'principal_id', 'action']
const NEVER_NULL = new Set(['trace_id', 'action'])

const onEvents = (column: string, columns: string) =>
  `create index audit_events_by_${column} on audit_events (${columns})${NEVER_NULL.has(column) ? '' : ` where ${column} is not null`};\n`

/**
 * Indexes with which every list is one range of an index: the filter, then the status or outcome, then the order. Each
 * replaces one index, or several, that ended in the order.
 */
export const migration: Migration = {
  name: '0013_list_indexes',
  tables: `
drop index sessions_user_id;
drop index sessions_client_id;
drop index sessions_actor_sub;
create index sessions_by_user on sessions (user_id, status, id);
create index sessions_by_client on sessions (client_id, status, id);
create index sessions_by_actor on sessions (actor_sub, status, id) where actor_sub is not null;

-- When an active session ends if nothing else ends it.
drop index sessions_expire_at;
drop index sessions_abandon_at;
create index sessions_end on sessions ((case when expire_at < abandon_at then expire_at else abandon_at end))
  where status = 'active';

drop index actor_tokens_user_id;
drop index actor_tokens_actor_sub;
drop index actor_tokens_status;
drop index actor_tokens_sign_in;
drop index actor_tokens_sign_in_status;
create index actor_tokens_by_user on actor_tokens (user_id, kind, status, id);
create index actor_tokens_by_actor on actor_tokens (actor_sub, status, id) where actor_sub is not null;
create index actor_tokens_by_kind on actor_tokens (kind, status, id);

drop index audit_events_user_id;
drop index audit_events_session_id;
drop index audit_events_actor_token_id;
drop index audit_events_actor_sub;
drop index audit_events_refused;
create index audit_events_by_time on audit_events (outcome, at, seq);
create index audit_events_by_code on audit_events (code, at, seq) where code is not null;
${RARE.map(column => onEvents(column, `${column}, at, seq`)).join('')}${FREQUENT.map(column => onEvents(column, `${column}, outcome, at, seq`)).join('')}
create index cutoffs_unapplied on cutoffs (at) where applied_at is null;
create index users_banned on users (created_at, id) where banned_at is not null;
`,
}

import type { Migration } from './migration.ts'

/** The indexes to rename, with their definitions: SQLite can only drop an index and create it again. */
const INDEXES = {
  user_id: '(user_id, id)',
  actor_sub: '(actor_sub, id) where actor_sub is not null',
  pending: "(expires_at) where status = 'pending' and expired_at is null",
  unused: "(expires_at) where session_id is null and (status <> 'pending' or expired_at is not null)",
  status: "((status || ''), (id || ''))",
  sign_in: "(id) where kind = 'sign_in_token'",
  sign_in_status: "((status || ''), (id || '')) where kind = 'sign_in_token'",
}

/** Gives tables, columns and indexes the names that the API and the documentation use. */
export const migration: Migration = {
  name: '0012_names_contract',
  tables: `
alter table tickets rename to actor_tokens;
alter table sessions rename column ticket_id to actor_token_id;
alter table audit_events rename column ticket_id to actor_token_id;
alter table not_before rename to cutoffs;
alter table cutoffs rename column marked_at to applied_at;
`,
  sqlite: Object.entries(INDEXES)
    .map(([name, on]) => `drop index tickets_${name};\ncreate index actor_tokens_${name} on actor_tokens ${on};\n`)
    .concat(
      'drop index audit_events_ticket_id;\n',
      'create index audit_events_actor_token_id on audit_events (actor_token_id, seq) where actor_token_id is not null;\n',
    )
    .join(''),
  postgres: `${Object.keys(INDEXES)
    .map(name => `alter index tickets_${name} rename to actor_tokens_${name};\n`)
    .join('')}
alter index audit_events_ticket_id rename to audit_events_actor_token_id;
alter trigger not_before_written on cutoffs rename to cutoffs_written;
create or replace function audit_events_are_kept() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' then
    if new.personal is null
      and (old.seq, old.id, old.at, old.action, old.outcome, old.code, old.principal_type, old.principal_id,
           old.actor_sub, old.actor_token_id, old.session_id, old.user_id, old.target_id, old.trace_id, old.event,
           old.leaf_hash)
      is not distinct from
          (new.seq, new.id, new.at, new.action, new.outcome, new.code, new.principal_type, new.principal_id,
           new.actor_sub, new.actor_token_id, new.session_id, new.user_id, new.target_id, new.trace_id, new.event,
           new.leaf_hash)
    then return new; end if;
    raise exception 'audit events are never changed';
  end if;
  raise exception 'audit events are never deleted';
end $$;
`,
}

import type { Migration } from './migration.ts'

export const migration: Migration = {
  name: '0001_main_job',
  tables: `
create table instance (
  id text primary key,
  created_at integer not null,
  keyring_version integer not null
);

create table users (
  id text primary key,
  external_id text unique,
  username text unique,
  first_name text,
  last_name text,
  locale text,
  primary_email_address_id text,
  primary_phone_number_id text,
  public_metadata text not null,
  private_metadata text not null,
  unsafe_metadata text not null,
  delete_self_enabled integer not null,
  create_organization_enabled integer not null,
  banned_at integer,
  locked_at integer,
  legal_accepted_at integer,
  last_sign_in_at integer,
  last_active_at integer,
  created_at integer not null,
  updated_at integer not null
);
create index users_created_at on users (created_at, id);

create table identifiers (
  id text primary key,
  user_id text not null references users (id) on delete cascade,
  kind text not null check (kind in ('email_address', 'phone_number')),
  value text not null,
  position integer not null,
  created_at integer not null,
  updated_at integer not null,
  unique (kind, value)
);
create index identifiers_user_id on identifiers (user_id);

-- No foreign key to users: tokens remain when their user is deleted.
create table tickets (
  id text primary key,
  kind text not null check (kind in ('actor_token', 'sign_in_token')),
  status text not null check (status in ('pending', 'accepted', 'revoked')),
  user_id text not null,
  actor text,
  actor_sub text,
  reason text,
  expires_in_seconds integer not null,
  session_max_duration_in_seconds integer not null,
  expires_at integer not null,
  expired_at integer,
  session_id text,
  created_at integer not null,
  updated_at integer not null
);
create index tickets_user_id on tickets (user_id, id);
create index tickets_actor_sub on tickets (actor_sub, id) where actor_sub is not null;

create table clients (
  id text primary key,
  rotating_token_hash text not null,
  last_active_session_id text,
  created_at integer not null,
  updated_at integer not null
);

create table sessions (
  id text primary key,
  client_id text not null,
  user_id text not null,
  status text not null check (status in ('active', 'ended', 'removed', 'revoked', 'expired', 'abandoned')),
  actor text,
  actor_sub text,
  ticket_id text,
  idle_timeout_seconds integer,
  last_active_at integer not null,
  expire_at integer not null,
  abandon_at integer not null,
  created_at integer not null,
  updated_at integer not null
);
create index sessions_user_id on sessions (user_id, id);
create index sessions_client_id on sessions (client_id, id);
create index sessions_actor_sub on sessions (actor_sub, id) where actor_sub is not null;
create index sessions_expire_at on sessions (expire_at) where status = 'active';
create index sessions_abandon_at on sessions (abandon_at) where status = 'active';

create table secret_keys (
  id text primary key,
  name text not null,
  hash text not null unique,
  hint text not null,
  created_at integer not null,
  revoked_at integer
);

create table signing_keys (
  id text primary key,
  alg text not null check (alg in ('RS256', 'ES256', 'EdDSA')),
  status text not null check (status in ('next', 'active', 'retiring', 'removed')),
  public_jwk text not null,
  sealed_private_key text,
  signs_until integer not null,
  created_at integer not null,
  retired_at integer
);
create unique index signing_keys_one_active on signing_keys (alg) where status = 'active';
create unique index signing_keys_one_next on signing_keys (alg) where status = 'next';

create table audit_events (
  seq integer primary key autoincrement,
  id text not null,
  at integer not null,
  action text not null,
  outcome text not null check (outcome in ('done', 'refused')),
  code text,
  principal_type text not null,
  principal_id text,
  actor_sub text,
  ticket_id text,
  session_id text,
  user_id text,
  target_id text,
  trace_id text not null,
  event text not null,
  personal text,
  leaf_hash text not null
);
create index audit_events_user_id on audit_events (user_id, seq) where user_id is not null;
create index audit_events_session_id on audit_events (session_id, seq) where session_id is not null;
create index audit_events_ticket_id on audit_events (ticket_id, seq) where ticket_id is not null;
create index audit_events_actor_sub on audit_events (actor_sub, seq) where actor_sub is not null;

create table refused_requests (
  minute integer not null,
  address text not null,
  code text not null,
  count integer not null,
  primary key (minute, address, code)
);
`,
  sqlite: `
-- The log is append-only. The one allowed change erases the personal part, which can only be set to null.
create trigger audit_events_no_delete before delete on audit_events
begin select raise(abort, 'audit events are never deleted'); end;
-- REPLACE deletes rows without firing the trigger above.
create trigger audit_events_no_replace before insert on audit_events
when exists (select 1 from audit_events where seq = new.seq)
begin select raise(abort, 'audit events are never changed'); end;
create trigger audit_events_no_update before update on audit_events
when new.personal is not null
  or (old.seq, old.id, old.at, old.action, old.outcome, old.code, old.principal_type, old.principal_id, old.actor_sub,
      old.ticket_id, old.session_id, old.user_id, old.target_id, old.trace_id, old.event, old.leaf_hash)
  is not (new.seq, new.id, new.at, new.action, new.outcome, new.code, new.principal_type, new.principal_id,
      new.actor_sub, new.ticket_id, new.session_id, new.user_id, new.target_id, new.trace_id, new.event, new.leaf_hash)
begin select raise(abort, 'audit events are never changed'); end;
`,
  postgres: `
-- As above. TRUNCATE fires no row trigger.
create function audit_events_are_kept() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' then
    if new.personal is null
      and (old.seq, old.id, old.at, old.action, old.outcome, old.code, old.principal_type, old.principal_id,
           old.actor_sub, old.ticket_id, old.session_id, old.user_id, old.target_id, old.trace_id, old.event, old.leaf_hash)
      is not distinct from
          (new.seq, new.id, new.at, new.action, new.outcome, new.code, new.principal_type, new.principal_id,
           new.actor_sub, new.ticket_id, new.session_id, new.user_id, new.target_id, new.trace_id, new.event, new.leaf_hash)
    then return new; end if;
    raise exception 'audit events are never changed';
  end if;
  raise exception 'audit events are never deleted';
end $$;
create trigger audit_events_row before update or delete on audit_events
  for each row execute function audit_events_are_kept();
create trigger audit_events_truncate before truncate on audit_events
  for each statement execute function audit_events_are_kept();
`,
}

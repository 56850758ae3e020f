import { identifierRewrites, type Rewrite } from './rewrites.ts'

/**
 * The schema, as an ordered list of changes. A released migration is never changed; each one runs in its own
 * transaction. Times are Unix milliseconds, JSON is text.
 *
 * During a rollout, nodes of this version and of the previous one run side by side, so a migration only adds. A later
 * version removes what is no longer used, in a migration whose name ends in `_contract`.
 */
export interface Migration {
  name: string
  /** Tables and indexes, with the types `text` and `integer`. Works for both databases: `postgresOf` translates it. */
  tables: string
  /** Statements for one database only. */
  sqlite?: string
  postgres?: string
  /** Values to change after the statements have run. */
  rewrites?: Rewrite[]
}

/**
 * Nullable columns of users that a list can be ordered by. Indexes sort nulls first: SQLite by default, PostgreSQL
 * explicitly.
 */
const USER_ORDERS = [
  'first_name',
  'last_name',
  'username',
  'first_email_address',
  'first_phone_number',
  'last_active_at',
  'last_sign_in_at',
]

export const migrations: Migration[] = [
  {
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
  },
  {
    name: '0002_jwt_templates',
    tables: `
create table jwt_templates (
  id text primary key,
  name text not null unique,
  claims text not null,
  lifetime integer not null,
  allowed_clock_skew integer not null,
  created_at integer not null,
  updated_at integer not null
);
`,
  },
  {
    name: '0003_in_the_browser',
    tables: `
alter table tickets add column return_url text;
alter table sessions add column parked_session_id text;
alter table clients add column previous_token_hash text;
`,
  },
  {
    name: '0004_revocations',
    tables: `
-- Cutoffs, for everything, a user or an actor: rows written up to this time are revoked, even if not yet marked.
create table not_before (
  scope text not null check (scope in ('everything', 'user', 'actor')),
  subject text not null,
  at integer not null,
  marked_at integer,
  primary key (scope, subject)
);

-- When the row was written, by the database's clock.
alter table tickets add column written_at integer not null default 0;
alter table sessions add column written_at integer not null default 0;
update tickets set written_at = created_at;
update sessions set written_at = created_at;

create index tickets_pending on tickets (expires_at) where status = 'pending' and expired_at is null;
create index sessions_over on sessions (updated_at, id) where status <> 'active' and status <> 'expired';
`,
    postgres: `
create function tell_of_revocation() returns trigger language plpgsql as $$
begin
  perform pg_notify('stagedoor_revocations', '');
  return null;
end $$;
create trigger sessions_over after update of status on sessions for each row
  when (old.status = 'active' and new.status <> 'active' and new.status <> 'expired')
  execute function tell_of_revocation();
create trigger not_before_written after insert or update on not_before
  for each statement execute function tell_of_revocation();
create unique index instance_only_one on instance ((true));
`,
  },
  {
    name: '0005_idempotency_keys',
    tables: `
create table idempotency_keys (
  owner text not null,
  operation text not null,
  key_hash text not null,
  body_hash text not null,
  made_id text not null,
  written_at integer not null,
  primary key (owner, operation, key_hash)
);
create index idempotency_keys_old on idempotency_keys (written_at);
`,
  },
  {
    name: '0006_purge',
    tables: `
-- Ended rows, by expiry. New rows are not written to these indexes.
create index sessions_ended on sessions (expire_at) where status <> 'active';
create index tickets_unused on tickets (expires_at)
  where session_id is null and (status <> 'pending' or expired_at is not null);
`,
  },
  {
    name: '0007_lists',
    tables: `
-- Lists by status alone, newest first. On expressions, so that no other query uses them (half of all rows may have one
-- status), and so that these lists cannot use the primary key: it has the same order, but also rows of every other status.
create index tickets_status on tickets ((status || ''), (id || ''));
create index sessions_status on sessions ((status || ''), (id || ''));
`,
  },
  {
    // Stores identifiers in the form in which they are searched: in NFC, usernames in lower case, domains of e-mail
    // addresses in ASCII.
    name: '0008_identifiers',
    tables: '',
    rewrites: identifierRewrites,
  },
  {
    name: '0009_list_orders',
    tables: `
-- Lists are ordered by a user's smallest e-mail address or phone number. Stored with the user, so that it can be indexed.
alter table users add column first_email_address text;
alter table users add column first_phone_number text;
update users set
  first_email_address = (select min(value) from identifiers where user_id = users.id and kind = 'email_address'),
  first_phone_number = (select min(value) from identifiers where user_id = users.id and kind = 'phone_number')
  where id in (select user_id from identifiers);

create index users_updated_at on users (updated_at, id);

-- For sign-in tokens, because most tokens are actor tokens. Actor tokens are not written to these indexes.
create index tickets_sign_in on tickets (id) where kind = 'sign_in_token';
create index tickets_sign_in_status on tickets ((status || ''), (id || '')) where kind = 'sign_in_token';
`,
    sqlite: `${USER_ORDERS.map(column => `create index users_${column} on users (${column}, id);\n`).join('')}
create trigger identifiers_first after insert on identifiers begin
  update users set first_email_address = new.value where id = new.user_id and new.kind = 'email_address'
    and (first_email_address is null or first_email_address > new.value);
  update users set first_phone_number = new.value where id = new.user_id and new.kind = 'phone_number'
    and (first_phone_number is null or first_phone_number > new.value);
end;
`,
    postgres: `${USER_ORDERS.map(column => `create index users_${column} on users (${column} nulls first, id);\n`).join('')}
create function keep_first_identifiers() returns trigger language plpgsql as $$
begin
  if new.kind = 'email_address' then
    update users set first_email_address = new.value where id = new.user_id
      and (first_email_address is null or first_email_address > new.value);
  else
    update users set first_phone_number = new.value where id = new.user_id
      and (first_phone_number is null or first_phone_number > new.value);
  end if;
  return null;
end $$;
create trigger identifiers_first after insert on identifiers
  for each row execute function keep_first_identifiers();
`,
  },
  {
    name: '0010_refusals',
    tables: `
-- Finds the refused requests of one caller: browsers may add only a few of them to the log.
create index audit_events_refused on audit_events (principal_id, at) where outcome = 'refused';
`,
  },
  {
    name: '0011_confirmations',
    tables: `
-- The browser that confirmed on the accept page, so that its second click gets the same answer as the first.
alter table tickets add column confirmed_token_hash text;
alter table tickets add column confirmed_at integer;
`,
  },
]

/** Returns a migration in SQLite's SQL. The tables are strict, so that no column contains a value of another type. */
export const sqliteOf = ({ tables, sqlite = '' }: Migration): string => tables.replace(/^\);/gm, ') strict;') + sqlite

/**
 * Returns a migration in PostgreSQL's SQL. Texts are compared byte by byte, as ids and cursors need it, in any locale
 * of the database.
 */
export const postgresOf = ({ tables, postgres = '' }: Migration): string =>
  tables
    .replaceAll(' integer primary key autoincrement', ' bigint generated by default as identity primary key')
    .replaceAll(' integer', ' bigint')
    .replace(/ text(?=[ ,;\n])/g, ' text collate "C"') + postgres

/**
 * Checks whether this version can use a database. It can if a later version has only added to the schema, not if that
 * version has removed something.
 * @param applied names of the migrations that the database has
 */
export function assertKnown(applied: Iterable<string>): void {
  const unknown = [...applied].filter(name => !migrations.some(migration => migration.name === name))
  if (unknown.some(name => name.endsWith('_contract'))) {
    throw new Error(
      `The database was created by a later version of Stagedoor (it has ${unknown.join(', ')}). Run that version or a later one.`,
    )
  }
}

import type { Migration } from './migration.ts'

/**
 * The operators of the console, their sessions, the sign-ins that have begun, and the one-time links of the command line.
 * Of every secret there is only the SHA-256.
 */
export const migration: Migration = {
  name: '0022_operators',
  tables: `
create table operators (
  id text primary key,
  iss text not null,
  sub text not null,
  -- The sub with which the operator acts.
  actor_sub text not null,
  -- Identifies an operator without an identity provider.
  local_name text unique,
  role text not null check (role in ('viewer', 'support', 'approver', 'admin')),
  role_source text not null check (role_source in ('claim', 'link', 'development')),
  name text,
  email text,
  disabled_at integer,
  last_sign_in_at integer,
  created_at integer not null,
  updated_at integer not null,
  unique (iss, sub)
);

create table operator_sessions (
  id text primary key,
  operator_id text not null,
  secret_hash text not null unique,
  role text not null check (role in ('viewer', 'support', 'approver', 'admin')),
  -- When the operator proved who they are; null if the identity provider does not say it.
  auth_at integer,
  -- How, JSON.
  amr text not null,
  user_agent text,
  address text,
  last_seen_at integer not null,
  idle_expires_at integer not null,
  expires_at integer not null,
  ended_at integer,
  created_at integer not null
);
create index operator_sessions_operator_id on operator_sessions (operator_id, id);

create table operator_sign_ins (
  -- Of the secret in the browser's cookie, from which state, nonce and verifier are made.
  secret_hash text primary key,
  kind text not null check (kind in ('provider', 'join', 'passkey')),
  return_to text not null,
  -- The session that a step-up renews, or that a sign-in replaces.
  session_id text,
  is_step_up integer not null,
  operator_id text,
  role text,
  expires_at integer not null
);
create index operator_sign_ins_expires_at on operator_sign_ins (expires_at);

create table operator_links (
  secret_hash text primary key,
  operator_id text not null,
  role text not null,
  kind text not null check (kind in ('invite', 'development')),
  expires_at integer not null,
  used_at integer,
  created_at integer not null
);
`,
}

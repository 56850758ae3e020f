import type { Migration } from './migration.ts'

/** The passkeys of operators who have no identity provider. */
export const migration: Migration = {
  name: '0023_operator_passkeys',
  tables: `
create table operator_passkeys (
  -- The credential's own id, base64url.
  id text primary key,
  operator_id text not null,
  -- COSE, base64url.
  public_key text not null,
  -- How often the authenticator was used, as it says itself; 0 if it does not count.
  use_count integer not null,
  -- JSON.
  transports text not null,
  last_used_at integer,
  created_at integer not null
);
create index operator_passkeys_operator_id on operator_passkeys (operator_id);
`,
}

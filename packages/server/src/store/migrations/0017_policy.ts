import type { Migration } from './migration.ts'

/**
 * The policy documents, and with each session the versions of the policy, the user and the actor that its last decision
 * was made on. `facts` are those of the request that created the token, as JSON: they never change.
 */
export const migration: Migration = {
  name: '0017_policy',
  tables: `
alter table instance add column policy_version integer not null default 0;

create table policies (
  version integer primary key,
  policy_text text not null,
  -- Names of the base rules that are off, JSON.
  off text not null,
  digest text not null,
  reason text,
  created_by text not null,
  created_at integer not null
);

alter table actor_tokens add column facts text;
alter table sessions add column facts text;
-- No policy has this version, so a session that is older than this column is decided at its next mint.
alter table sessions add column decided_policy integer not null default -1;
alter table sessions add column decided_user integer not null default 0;
alter table sessions add column decided_actor integer not null default 0;
-- When the decision has to be made again although nothing changed, Unix ms.
alter table sessions add column decided_until integer;
`,
}

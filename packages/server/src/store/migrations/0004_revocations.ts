import type { Migration } from './migration.ts'

export const migration: Migration = {
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
}

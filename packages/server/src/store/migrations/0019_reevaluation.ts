import type { Migration } from './migration.ts'

type Dialect = 'sqlite' | 'postgres'

/** No policy has a negative version. Each mark is another number, so that a later one is noticed. */
const MARK = { sqlite: '-2 - abs(random() >> 11)', postgres: '-2 - (random() * 4503599627370496)::bigint' }

/** Marks active sessions, so that the job decides about them again. */
const markSessions = (dialect: Dialect, where: string) =>
  `update sessions set decided_policy = ${MARK[dialect]}
    where status = 'active' and actor_sub is not null and ${where};`

const ofUser = (dialect: Dialect, row: 'old' | 'new') => markSessions(dialect, `user_id = ${row}.id`)

/** Sessions of actors who are this user, by id or external id. */
const actingAs = (dialect: Dialect, ...rows: ('old' | 'new')[]) =>
  markSessions(dialect, `actor_sub in (${rows.flatMap(row => [`${row}.id`, `${row}.external_id`]).join(', ')})`)

const ofActor = (dialect: Dialect, row: 'old' | 'new') => markSessions(dialect, `actor_sub = ${row}.sub`)

const sqliteTriggers = `
create trigger users_mark_update after update of facts_version on users when old.facts_version <> new.facts_version begin
  ${ofUser('sqlite', 'new')}
  ${actingAs('sqlite', 'new')}
end;
create trigger users_mark_renamed after update of external_id on users when old.external_id is distinct from new.external_id begin
  ${actingAs('sqlite', 'old', 'new')}
end;
create trigger users_mark_insert after insert on users begin
  ${actingAs('sqlite', 'new')}
end;
create trigger users_mark_delete after delete on users begin
  ${actingAs('sqlite', 'old')}
end;
create trigger actors_mark_update after update of facts_version on actors when old.facts_version <> new.facts_version begin
  ${ofActor('sqlite', 'new')}
end;
create trigger actors_mark_insert after insert on actors begin
  ${ofActor('sqlite', 'new')}
end;
create trigger actors_mark_delete after delete on actors begin
  ${ofActor('sqlite', 'old')}
end;
`

const postgresTriggers = `
-- Run as the owner, like the triggers that change the versions.
create function mark_sessions_of_user() returns trigger language plpgsql security definer set search_path from current as $$
begin
  if current_setting('stagedoor.copying', true) = 'on' then return null;
  elsif tg_op = 'INSERT' then ${actingAs('postgres', 'new')}
  elsif tg_op = 'DELETE' then ${actingAs('postgres', 'old')}
  else
    ${ofUser('postgres', 'new')}
    ${actingAs('postgres', 'old', 'new')}
  end if;
  return null;
end $$;
create function mark_sessions_of_actor() returns trigger language plpgsql security definer set search_path from current as $$
begin
  if current_setting('stagedoor.copying', true) = 'on' then return null;
  elsif tg_op = 'DELETE' then ${ofActor('postgres', 'old')}
  else ${ofActor('postgres', 'new')}
  end if;
  return null;
end $$;
-- Without a list of columns: another trigger changes the version, not the statement.
create trigger users_mark after update on users
  for each row when (old.facts_version <> new.facts_version) execute function mark_sessions_of_user();
create trigger users_mark_rows after insert or delete on users for each row execute function mark_sessions_of_user();
create trigger actors_mark after update on actors
  for each row when (old.facts_version <> new.facts_version) execute function mark_sessions_of_actor();
create trigger actors_mark_rows after insert or delete on actors for each row execute function mark_sessions_of_actor();
`

/**
 * Finds the sessions whose decision has to be made again. A change of a user or an actor marks their sessions in the same
 * transaction, so a job on any node finds them by an index. A change of the policy needs no marks: its version is higher.
 */
export const migration: Migration = {
  name: '0019_reevaluation',
  tables: `
create index sessions_by_decided_policy on sessions (decided_policy) where status = 'active' and actor_sub is not null;
create index sessions_by_decided_until on sessions (decided_until) where status = 'active' and decided_until is not null;
`,
  sqlite: sqliteTriggers,
  postgres: postgresTriggers,
}

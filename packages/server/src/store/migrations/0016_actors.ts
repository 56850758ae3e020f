import type { Migration } from './migration.ts'

/** Columns of users that policies depend on. */
const USER_FACTS = ['banned_at', 'locked_at', 'private_metadata', 'external_id']
/** The same of actors. */
const ACTOR_FACTS = ['kind', 'teams', 'organizations', 'level', 'user_id', 'owner_sub', 'disabled_at']

const NEW_VERSION = { sqlite: 'random() >> 11', postgres: '(random() * 4503599627370496)::bigint' }

type Dialect = keyof typeof NEW_VERSION

/** A user's facts changed: those of the actors change who are that user, and of the agents that these are responsible for. */
const userChanged = (dialect: Dialect, rows: ('old' | 'new')[]) => {
  const subs = rows.flatMap(row => [`${row}.id`, `${row}.external_id`]).join(', ')
  const ids = rows.map(row => `${row}.id`).join(', ')
  return `update actors set facts_version = ${NEW_VERSION[dialect]}
    where user_id in (${ids}) or sub in (${subs}) or owner_sub in (${subs})
      or owner_sub in (select sub from actors as owners where user_id in (${ids}));`
}

/** An actor's facts changed: those of its user change, and of the agents that it is responsible for. */
const actorChanged = (dialect: Dialect, rows: ('old' | 'new')[]) => {
  const version = NEW_VERSION[dialect]
  const subs = rows.map(row => `${row}.sub`).join(', ')
  const users = rows.flatMap(row => [`${row}.user_id`, `${row}.sub`]).join(', ')
  return `update users set facts_version = ${version} where id in (${users}) or external_id in (${subs});
  update actors set facts_version = ${version} where owner_sub in (${subs});`
}

const changed = (columns: string[]) =>
  columns.map(column => `old.${column} is distinct from new.${column}`).join(' or ')

const sqliteTriggers = `
create trigger users_facts_insert after insert on users begin
  ${userChanged('sqlite', ['new'])}
end;
create trigger users_facts_update after update of ${USER_FACTS.join(', ')} on users when ${changed(USER_FACTS)} begin
  update users set facts_version = ${NEW_VERSION.sqlite} where id = new.id;
  ${userChanged('sqlite', ['old', 'new'])}
end;
create trigger users_facts_delete after delete on users begin
  ${userChanged('sqlite', ['old'])}
end;
create trigger actors_facts_insert after insert on actors begin
  ${actorChanged('sqlite', ['new'])}
end;
create trigger actors_facts_update after update of ${ACTOR_FACTS.join(', ')} on actors when ${changed(ACTOR_FACTS)} begin
  update actors set facts_version = ${NEW_VERSION.sqlite} where sub = new.sub;
  ${actorChanged('sqlite', ['old', 'new'])}
end;
create trigger actors_facts_delete after delete on actors begin
  ${actorChanged('sqlite', ['old'])}
end;
`

const postgresTriggers = `
-- Run as the owner: nodes of the previous version have no rights on actors. Copying a whole database keeps its versions.
create function new_facts_version() returns trigger language plpgsql as $$
begin
  new.facts_version := ${NEW_VERSION.postgres};
  return new;
end $$;
create function user_facts_changed() returns trigger language plpgsql security definer set search_path from current as $$
begin
  if current_setting('stagedoor.copying', true) = 'on' then return null;
  elsif tg_op = 'INSERT' then ${userChanged('postgres', ['new'])}
  elsif tg_op = 'DELETE' then ${userChanged('postgres', ['old'])}
  else ${userChanged('postgres', ['old', 'new'])}
  end if;
  return null;
end $$;
create function actor_facts_changed() returns trigger language plpgsql security definer set search_path from current as $$
begin
  if current_setting('stagedoor.copying', true) = 'on' then return null;
  elsif tg_op = 'INSERT' then ${actorChanged('postgres', ['new'])}
  elsif tg_op = 'DELETE' then ${actorChanged('postgres', ['old'])}
  else ${actorChanged('postgres', ['old', 'new'])}
  end if;
  return null;
end $$;
create trigger users_facts_version before update of ${USER_FACTS.join(', ')} on users
  for each row when (${changed(USER_FACTS)}) execute function new_facts_version();
create trigger users_facts after update of ${USER_FACTS.join(', ')} on users
  for each row when (${changed(USER_FACTS)}) execute function user_facts_changed();
create trigger users_facts_rows after insert or delete on users
  for each row execute function user_facts_changed();
create trigger actors_facts_version before update of ${ACTOR_FACTS.join(', ')} on actors
  for each row when (${changed(ACTOR_FACTS)}) execute function new_facts_version();
create trigger actors_facts after update of ${ACTOR_FACTS.join(', ')} on actors
  for each row when (${changed(ACTOR_FACTS)}) execute function actor_facts_changed();
create trigger actors_facts_rows after insert or delete on actors
  for each row execute function actor_facts_changed();
`

/**
 * The registry of actors, and the versions of what policies know about users and actors. A version is a random number:
 * only whether it is the same counts. Triggers change it with the facts, also with those of other rows that it covers.
 */
export const migration: Migration = {
  name: '0016_actors',
  tables: `
alter table users add column facts_version integer not null default 0;

create table actors (
  sub text primary key,
  -- The sub without differences that people do not see, so that no two actors look alike.
  sub_folded text not null unique,
  kind text not null check (kind in ('operator', 'agent')),
  name text,
  teams text not null,
  organizations text not null,
  level integer not null,
  user_id text,
  owner_sub text,
  disabled_at integer,
  facts_version integer not null,
  created_at integer not null,
  updated_at integer not null
);
create index actors_by_user on actors (user_id) where user_id is not null;
create index actors_by_owner on actors (owner_sub) where owner_sub is not null;
`,
  sqlite: sqliteTriggers,
  postgres: postgresTriggers,
}

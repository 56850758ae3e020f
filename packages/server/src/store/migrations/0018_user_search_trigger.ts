import type { Migration } from './migration.ts'

/** The searched text of a user, one field per line: as in 0014_user_search. */
const textOf = (user: string) =>
  `${user}.id || E'\\n' || coalesce(${user}.first_name, '') || ' ' || coalesce(${user}.last_name, '')
    || E'\\n' || coalesce(${user}.username, '') || E'\\n' || coalesce(${user}.external_id, '')
    || E'\\n' || coalesce((select string_agg(value, E'\\n') from identifiers where user_id = ${user}.id), '')`

/**
 * Finds the row of a changed identifier by its user alone. Before, the statement joined two tables. PostgreSQL keeps the
 * plan of a trigger, and one that it made while the tables were empty read all of them for each identifier: importing
 * 100,000 users in one transaction took more than an hour.
 */
export const migration: Migration = {
  name: '0018_user_search_trigger',
  tables: '',
  postgres: `
create or replace function keep_user_search() returns trigger language plpgsql security definer set search_path from current as $$
declare
  changed text;
begin
  if tg_table_name = 'users' and tg_op = 'INSERT' then
    insert into user_search (user_id, content) values (new.id, ${textOf('new')});
    return null;
  elsif tg_table_name = 'users' then
    changed := new.id;
  elsif tg_op = 'DELETE' then
    changed := old.user_id;
  else
    changed := new.user_id;
  end if;
  update user_search set content = coalesce((select ${textOf('users')} from users where users.id = changed), content)
    where user_search.user_id = changed;
  return null;
end $$;
`,
}

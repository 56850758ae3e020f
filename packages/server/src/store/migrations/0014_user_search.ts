import type { Migration } from './migration.ts'

/** The searched text of a user, one field per line. */
const textOf = (user: string, joined: string) =>
  `${user}.id || char(10) || coalesce(${user}.first_name, '') || ' ' || coalesce(${user}.last_name, '')
    || char(10) || coalesce(${user}.username, '') || char(10) || coalesce(${user}.external_id, '')
    || char(10) || coalesce((select ${joined} from identifiers where user_id = ${user}.id), '')`

const onSqlite = (user: string) => textOf(user, 'group_concat(value, char(10))')
const onPostgres = (user: string) => textOf(user, "string_agg(value, E'\\n')").replaceAll('char(10)', "E'\\n'")

const SEARCHED = 'id, first_name, last_name, username, external_id'

/**
 * An index of groups of three characters, for searches for a part of a name, id or identifier. Triggers keep it current.
 * `n` grows with each user, so a search can begin with the users that were added last.
 */
export const migration: Migration = {
  name: '0014_user_search',
  tables: `
create table user_search (
  n integer primary key autoincrement,
  user_id text not null unique references users (id) on delete cascade,
  content text not null
);
`,
  sqlite: `
insert into user_search (user_id, content) select id, ${onSqlite('users')} from users order by created_at, id;
create virtual table user_search_index using fts5(content, content='user_search', content_rowid='n', tokenize='trigram');
insert into user_search_index (user_search_index) values ('rebuild');

create trigger user_search_insert after insert on user_search begin
  insert into user_search_index (rowid, content) values (new.n, new.content);
end;
create trigger user_search_delete after delete on user_search begin
  insert into user_search_index (user_search_index, rowid, content) values ('delete', old.n, old.content);
end;
create trigger user_search_update after update on user_search begin
  insert into user_search_index (user_search_index, rowid, content) values ('delete', old.n, old.content);
  insert into user_search_index (rowid, content) values (new.n, new.content);
end;
create trigger users_search_insert after insert on users begin
  insert into user_search (user_id, content) values (new.id, ${onSqlite('new')});
end;
create trigger users_search_update after update of ${SEARCHED} on users begin
  update user_search set content = ${onSqlite('new')} where user_id = new.id;
end;
${['insert', 'update', 'delete']
  .map(
    event => `create trigger identifiers_search_${event} after ${event} on identifiers begin
  update user_search set content = (select ${onSqlite('users')} from users where id = user_id)
    where user_id = ${event === 'delete' ? 'old' : 'new'}.user_id and exists (select 1 from users where id = user_id);
end;
`,
  )
  .join('')}`,
  postgres: `
insert into user_search (user_id, content) select id, ${onPostgres('users')} from users order by created_at, id;

-- Runs as the owner, so that the role that serves needs no right to write the table: nodes of the previous version do not
-- have it.
create function keep_user_search() returns trigger language plpgsql security definer set search_path from current as $$
begin
  if tg_table_name = 'users' and tg_op = 'INSERT' then
    insert into user_search (user_id, content) values (new.id, ${onPostgres('new')});
  elsif tg_table_name = 'users' then
    update user_search set content = ${onPostgres('new')} where user_id = new.id;
  else
    update user_search set content = ${onPostgres('users')} from users
      where users.id = user_search.user_id and users.id = case when tg_op = 'DELETE' then old.user_id else new.user_id end;
  end if;
  return null;
end $$;
create trigger users_search after insert or update of ${SEARCHED} on users
  for each row execute function keep_user_search();
create trigger identifiers_search after insert or update or delete on identifiers
  for each row execute function keep_user_search();

-- Without the extension, a search reads every user. \`stagedoor doctor\` reports that.
do $$
begin
  create extension if not exists pg_trgm;
  create index user_search_content on user_search using gin (content gin_trgm_ops);
exception when others then
  raise notice 'no index for user searches: %', sqlerrm;
end $$;
`,
}

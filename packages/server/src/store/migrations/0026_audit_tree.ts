import type { Migration } from './migration.ts'

/**
 * The tree over the audit log (domain/audit/log.ts). Each event gets a position, and the server signs the root of the tree.
 * `audit_events` keeps its columns: `audit_runs` says which position a row has.
 */
export const migration: Migration = {
  name: '0026_audit_tree',
  tables: `
create table audit_tree (
  id text primary key check (id = 'tree'),
  -- The permanent name of the log, and of its keys.
  origin text not null,
  size integer not null,
  -- Hex, as in audit_tiles and audit_checkpoints.
  root text not null,
  last_seq integer not null,
  -- JSON: numbers of rows that were missing below last_seq, and when that was noticed.
  holes text not null,
  -- The first leaf whose event is still stored. A multiple of 256.
  first integer not null
);
-- Leaf first_index + i is event first_seq + i, for i < count.
create table audit_runs (
  first_index integer primary key,
  first_seq integer not null unique,
  count integer not null
);
create table audit_tiles (
  level integer not null,
  tile integer not null,
  -- Base64 of 256 hashes.
  hashes text not null,
  -- Of these hashes: the entry of the level above.
  root text not null,
  primary key (level, tile)
);
create table audit_checkpoints (
  size integer primary key,
  root text not null,
  at integer not null,
  note text not null,
  cosignatures text not null
);
create table audit_keys (
  id text primary key,
  name text not null,
  public_key text not null,
  sealed_private_key text,
  created_at integer not null,
  retired_at integer
);
create unique index audit_keys_one_active on audit_keys (name) where retired_at is null;
`,
  sqlite: `
create trigger audit_tree_no_delete before delete on audit_tree
begin select raise(abort, 'the tree of the audit log is never deleted'); end;
create trigger audit_tree_no_replace before insert on audit_tree
when exists (select 1 from audit_tree)
begin select raise(ignore); end;
create trigger audit_tree_no_shrink before update on audit_tree
when new.id <> old.id or new.origin <> old.origin or new.size < old.size or new.last_seq < old.last_seq
  or new.first < old.first or new.first % 256 <> 0 or new.first > new.size
begin select raise(abort, 'the tree of the audit log only grows'); end;
${['runs', 'tiles', 'checkpoints']
  .map(
    table => `create trigger audit_${table}_no_update before update on audit_${table}
${table === 'checkpoints' ? 'when (old.size, old.root, old.at, old.note) is not (new.size, new.root, new.at, new.note)\n' : ''}begin select raise(abort, 'the tree of the audit log is never changed'); end;
`,
  )
  .join('')}
create trigger audit_runs_no_delete before delete on audit_runs
begin select raise(abort, 'the tree of the audit log is never deleted'); end;
create trigger audit_tiles_no_delete before delete on audit_tiles
begin select raise(abort, 'the tree of the audit log is never deleted'); end;
-- REPLACE deletes rows without firing the triggers above.
create trigger audit_runs_no_replace before insert on audit_runs
when exists (select 1 from audit_runs where first_index = new.first_index or first_seq = new.first_seq)
begin select raise(abort, 'the tree of the audit log is never changed'); end;
create trigger audit_tiles_no_replace before insert on audit_tiles
when exists (select 1 from audit_tiles where level = new.level and tile = new.tile)
begin select raise(abort, 'the tree of the audit log is never changed'); end;
create trigger audit_checkpoints_no_replace before insert on audit_checkpoints
when exists (select 1 from audit_checkpoints where size = new.size)
begin select raise(ignore); end;
-- Two days after a checkpoint, it may go if its hour has a later one.
create trigger audit_checkpoints_no_delete before delete on audit_checkpoints
when not exists (select 1 from audit_checkpoints where size > old.size and at / 3600000 = old.at / 3600000)
  or not exists (select 1 from audit_checkpoints where size > old.size and at >= old.at + 172800000)
begin select raise(abort, 'the checkpoints of the audit log are kept'); end;
-- Events may go once they are archived: when their positions are below the first stored one.
drop trigger audit_events_no_delete;
create trigger audit_events_no_delete before delete on audit_events
when not exists (
  select 1 from audit_runs run, audit_tree tree
  where run.first_seq = (select max(first_seq) from audit_runs where first_seq <= old.seq)
    and old.seq < run.first_seq + run.count and run.first_index + old.seq - run.first_seq < tree.first)
begin select raise(abort, 'audit events are never deleted'); end;
`,
  postgres: `
-- As above. TRUNCATE fires no row trigger.
create function audit_tree_is_kept() returns trigger language plpgsql as $$
begin
  if tg_op <> 'UPDATE' then raise exception 'the tree of the audit log is never deleted'; end if;
  if new.id <> old.id or new.origin <> old.origin or new.size < old.size or new.last_seq < old.last_seq
    or new.first < old.first or new.first % 256 <> 0 or new.first > new.size
  then raise exception 'the tree of the audit log only grows'; end if;
  return new;
end $$;
create function audit_nodes_are_kept() returns trigger language plpgsql as $$
begin
  raise exception 'the tree of the audit log is never changed';
end $$;
create function audit_checkpoints_are_kept() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' then
    if (old.size, old.root, old.at, old.note) is not distinct from (new.size, new.root, new.at, new.note)
    then return new; end if;
    raise exception 'the tree of the audit log is never changed';
  end if;
  if tg_op = 'DELETE' then
    if exists (select 1 from audit_checkpoints where size > old.size and at / 3600000 = old.at / 3600000)
      and exists (select 1 from audit_checkpoints where size > old.size and at >= old.at + 172800000)
    then return old; end if;
  end if;
  raise exception 'the checkpoints of the audit log are kept';
end $$;
create trigger audit_tree_row before update or delete on audit_tree
  for each row execute function audit_tree_is_kept();
create trigger audit_tree_truncate before truncate on audit_tree
  for each statement execute function audit_tree_is_kept();
create trigger audit_runs_row before update or delete on audit_runs
  for each row execute function audit_nodes_are_kept();
create trigger audit_runs_truncate before truncate on audit_runs
  for each statement execute function audit_nodes_are_kept();
create trigger audit_tiles_row before update or delete on audit_tiles
  for each row execute function audit_nodes_are_kept();
create trigger audit_tiles_truncate before truncate on audit_tiles
  for each statement execute function audit_nodes_are_kept();
create trigger audit_checkpoints_row before update or delete on audit_checkpoints
  for each row execute function audit_checkpoints_are_kept();
create trigger audit_checkpoints_truncate before truncate on audit_checkpoints
  for each statement execute function audit_checkpoints_are_kept();

create function tell_of_audit_tree() returns trigger language plpgsql as $$
begin
  perform pg_notify('stagedoor_audit', '');
  return null;
end $$;
create trigger audit_tree_extended after update of size on audit_tree for each row
  when (new.size > old.size) execute function tell_of_audit_tree();

create or replace function audit_events_are_kept() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' then
    if new.personal is null
      and (old.seq, old.id, old.at, old.action, old.outcome, old.code, old.principal_type, old.principal_id,
           old.actor_sub, old.actor_token_id, old.session_id, old.user_id, old.target_id, old.trace_id, old.event,
           old.leaf_hash)
      is not distinct from
          (new.seq, new.id, new.at, new.action, new.outcome, new.code, new.principal_type, new.principal_id,
           new.actor_sub, new.actor_token_id, new.session_id, new.user_id, new.target_id, new.trace_id, new.event,
           new.leaf_hash)
    then return new; end if;
    raise exception 'audit events are never changed';
  end if;
  if tg_op = 'DELETE' then
    if exists (
      select 1 from audit_runs run, audit_tree tree
      where run.first_seq = (select max(first_seq) from audit_runs where first_seq <= old.seq)
        and old.seq < run.first_seq + run.count and run.first_index + old.seq - run.first_seq < tree.first)
    then return old; end if;
  end if;
  raise exception 'audit events are never deleted';
end $$;
`,
}

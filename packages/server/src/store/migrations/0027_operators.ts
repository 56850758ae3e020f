import type { Migration } from './migration.ts'

/**
 * What expired first is deleted first. An actor is one operator, who is disabled before another one can be it: if two could
 * be it so far, the first one stays.
 */
export const migration: Migration = {
  name: '0027_operators',
  tables: `
create index operator_sessions_expires_at on operator_sessions (expires_at);
create index operator_links_expires_at on operator_links (expires_at);
update operators set disabled_at = updated_at where disabled_at is null and exists (
  select 1 from operators as other
  where other.actor_sub = operators.actor_sub and other.disabled_at is null and other.id < operators.id);
create unique index operators_actor_sub on operators (actor_sub) where disabled_at is null;
`,
}

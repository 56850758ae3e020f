import type { Migration } from './migration.ts'

export const migration: Migration = {
  name: '0006_purge',
  tables: `
-- Ended rows, by expiry. New rows are not written to these indexes.
create index sessions_ended on sessions (expire_at) where status <> 'active';
create index tickets_unused on tickets (expires_at)
  where session_id is null and (status <> 'pending' or expired_at is not null);
`,
}

import { existsSync, renameSync } from 'node:fs'
import { pino } from 'pino'
import { checkpointPath } from './audit-setup.ts'
import { type Config, ConfigError, describeDatabase } from './config.ts'
import { type PreparedLoss, prepareLoss } from './domain/audit/keys.ts'
import type { Caller } from './domain/context.ts'
import { revokeAll } from './domain/revocations.ts'
import { revokeSecretKey } from './domain/secret-keys.ts'
import { removeSigningKey } from './domain/signing-keys.ts'
import { banUser, deleteUser, setUserState } from './domain/users.ts'
import { createStagedoor, migrateDatabase, opening, type Stagedoor } from './server.ts'
import { acceptLoss } from './store/accept-loss.ts'
import { type CopyProgress, copySqliteToPostgres } from './store/copy.ts'
import { backupSqlite } from './store/sqlite/backup.ts'
import { Restore } from './store/sqlite/restore.ts'
import { type RevokedSinceCopy, revokedSinceCopy } from './store/sqlite/revoked-since-copy.ts'

/** Operations on a whole database: back up, restore, move. */

const isEmbedded = (databaseUrl: string) => databaseUrl.startsWith('sqlite:')
const pathOf = (databaseUrl: string) => databaseUrl.slice('sqlite:'.length)

/** Copies the embedded database. A server may be using it. @throws ConfigError, or an Error that tells what to do */
export function backupDatabase(databaseUrl: string, to: string): void {
  if (!isEmbedded(databaseUrl) || pathOf(databaseUrl) === ':memory:')
    throw new ConfigError(
      'STAGEDOOR_DATABASE_URL names no file to copy. On PostgreSQL use pg_dump (docs/guides/postgresql.md).',
    )
  backupSqlite(pathOf(databaseUrl), to)
}

export interface RestoreResult {
  /** The new name of the database that was replaced. */
  replaced: string | undefined
  sessions: number
  tokens: number
  /** How many keys and users had been revoked, banned, locked or deleted since the backup, and are so again. */
  again: Record<keyof RevokedSinceCopy, number> | undefined
}

/**
 * Replaces the embedded database with a backup. Before a server can use it, everything issued so far is revoked. What
 * had been revoked, banned, locked or deleted in the replaced database since the backup is so again.
 * @param config from `loadConfig`; its database need not exist
 * @param principal who restores, for the audit log
 * @param takesBack whether to make a database usable again that was moved away
 * @throws ConfigError, or an Error that tells what to do
 * @example await restoreDatabase(config, '/backups/monday.db', { type: 'command_line', id: 'olivia' })
 */
export async function restoreDatabase(
  config: Config,
  file: string,
  principal: Caller['principal'],
  { takesBack = false } = {},
): Promise<RestoreResult> {
  const path = pathOf(config.database_url)
  if (!isEmbedded(config.database_url) || path === ':memory:')
    throw new ConfigError(
      'STAGEDOOR_DATABASE_URL names no SQLite file. On PostgreSQL use pg_restore, then run `stagedoor restore` without a file (docs/guides/postgresql.md).',
    )
  const restore = new Restore(path, file, { takesBack })
  try {
    const taken = revokedSinceCopy(restore.copy, path)
    const reason = takesBack ? 'taken back after a move' : 'restored from a backup'
    const revoked = await prepare({ ...config, database_url: `sqlite:${restore.copy}` }, principal, reason, taken)
    const replaced = restore.takeOver(`replaced-${timestamp()}`)
    return { ...revoked, replaced, again: taken && countsOf(taken) }
  } finally {
    restore.close()
  }
}

/**
 * Revokes everything issued so far in a database that PostgreSQL's own tools restored. Run it before a server uses the
 * database.
 * @throws ConfigError
 */
export function revokeRestored(config: Config, principal: Caller['principal']) {
  return prepare(config, principal, 'restored from a backup', undefined)
}

async function prepare(
  config: Config,
  principal: Caller['principal'],
  reason: string,
  taken: RevokedSinceCopy | undefined,
) {
  const stagedoor = await createStagedoor(config, { log: pino({ level: 'silent' }), serves: false })
  try {
    const { sessions, actor_tokens } = await revokeAll(stagedoor.context(principal), { everything: true, reason })
    if (taken) await takeAwayAgain(stagedoor, config, principal, taken)
    return { sessions, tokens: actor_tokens }
  } finally {
    await stagedoor.close()
  }
}

async function takeAwayAgain(
  stagedoor: Stagedoor,
  config: Config,
  principal: Caller['principal'],
  taken: RevokedSinceCopy,
) {
  const ctx = stagedoor.context(principal)
  for (const id of taken.secretKeys) await revokeSecretKey(ctx, { id })
  for (const id of taken.signingKeys)
    await removeSigningKey(ctx, { id, alg: config.signing_alg, make: stagedoor.makeKey, emergency: true })
  for (const id of taken.banned) await banUser(ctx, { id })
  for (const id of taken.locked) await setUserState(ctx, { id, change: 'lock' })
  for (const id of taken.deleted) await deleteUser(ctx, { id })
}

/**
 * Continues an audit log that was tampered with, after the entries that are still intact.
 * @param input.from how many entries are kept
 * The file with the newest checkpoint is renamed: the new log does not contain it.
 * @returns the new name of the log, and the new path of that file, if there was one
 * @throws ConfigError, ApiError request_invalid
 */
export async function acceptAuditLoss(
  config: Config,
  principal: Caller['principal'],
  input: { from: number; reason: string },
): Promise<{ origin: string; moved: string | undefined }> {
  const stagedoor = await createStagedoor(config, { log: pino({ level: 'silent' }), serves: false })
  let loss: PreparedLoss
  try {
    loss = await prepareLoss(stagedoor.context(principal), input)
  } finally {
    await stagedoor.close()
  }
  await acceptLoss(config.database_url, loss)
  const file = checkpointPath(config)
  const moved = file !== undefined && existsSync(file) ? `${file}.replaced-${timestamp()}` : undefined
  if (file !== undefined && moved !== undefined) renameSync(file, moved)
  return { origin: loss.key.name, moved }
}

/** Returns the time for the name of a file: `20261128T194200Z`. */
const timestamp = () => new Date().toISOString().replace(/[-:]|\.\d+/g, '')

/**
 * Copies a whole instance from an embedded database to an empty PostgreSQL database and compares the two. From then on
 * the embedded database cannot be used.
 * @param from `sqlite:` and a path
 * @param to `postgres://…`
 * @returns rows copied, by table
 * @throws ConfigError that names the wrong option; an Error if a server is using the source
 */
export async function moveDatabase(
  from: string,
  to: string,
  progress: (at: CopyProgress) => void,
): Promise<Record<string, number>> {
  if (!isEmbedded(from))
    throw new ConfigError('--from must be `sqlite:` and a path. Only a SQLite database can be moved.')
  if (isEmbedded(to)) throw new ConfigError('--to must be postgres://user:password@host:5432/database.')
  await migrateDatabase(from, '--from')
  await migrateDatabase(to, '--to')
  const moved = { at: new Date().toISOString(), target: describeDatabase(to) }
  return copySqliteToPostgres(pathOf(from), to, moved, progress, {
    source: open => opening(from, open, '--from'),
    target: open => opening(to, open, '--to'),
  })
}

function countsOf(taken: RevokedSinceCopy): RestoreResult['again'] {
  const { secretKeys, signingKeys, banned, locked, deleted } = taken
  return {
    secretKeys: secretKeys.length,
    signingKeys: signingKeys.length,
    banned: banned.length,
    locked: locked.length,
    deleted: deleted.length,
  }
}

/** The audit log as the settings say: its sequencer, who keeps its checkpoints, and the checks at start-up. */

import type { Logger } from 'pino'
import { type Config, isEmbedded } from './config.ts'
import type { AuditKeys } from './domain/audit/checkpoints.ts'
import { AuditLog, assertIntact, TamperedError } from './domain/audit/log.ts'
import { HistoryError } from './domain/audit/log-reader.ts'
import { type CheckpointHolder, Publisher } from './domain/audit/publish.ts'
import { storedLog } from './domain/audit/stored-log.ts'
import type { Store } from './domain/store.ts'
import { checkpointFile } from './publish/checkpoint-file.ts'
import { logDirectory } from './publish/log-directory.ts'
import { witness } from './publish/witness.ts'

/** Interval between log lines about one holder that fails, in ms. */
const REMINDER = 60_000

/** Creates the sequencer. A batch of SQLite blocks the event loop, so it is smaller. */
export function createAuditLog(
  config: Config,
  { store, keys, stopping }: { store: Store; keys: AuditKeys; stopping: AbortSignal },
) {
  const { audit_require: require, audit_max_lag_seconds: seconds } = config
  return new AuditLog({
    store: store.auditLog,
    clock: store.clock,
    keys,
    batch: isEmbedded(config) ? 512 : 4_096,
    require,
    maxLag: seconds === undefined ? undefined : seconds * 1_000,
    writesWait: () => (store.load()['waiting'] ?? 0) > 0,
    stopping,
  })
}

/**
 * Creates what gives the checkpoints of the audit log to the holders that the settings name.
 * @param parts.serves whether this process serves requests; commands publish nothing
 */
export function createPublisher(
  config: Config,
  parts: { store: Store; auditLog: AuditLog; serves: boolean; stopping: AbortSignal; log: Logger },
): Publisher {
  const { store, auditLog, serves, stopping, log } = parts
  const warnAt = new Map<string, number>()
  return new Publisher({
    reader: storedLog(store.auditLog),
    holders: serves ? holdersOf(config, auditLog) : [],
    setCosignatures: (size, lines) => store.auditLog.setCosignatures(size, lines),
    onTampered: reason => auditLog.enterTampered(reason),
    onFailure(holder, err) {
      if (stopping.aborted || performance.now() < (warnAt.get(holder) ?? 0)) return
      warnAt.set(holder, performance.now() + REMINDER)
      log.warn({ holder, err }, 'a checkpoint of the audit log could not be kept there; the next one covers it')
    },
  })
}

function holdersOf(config: Config, auditLog: AuditLog): CheckpointHolder[] {
  const file = checkpointPath(config)
  const { audit_directory: directory, audit_witnesses: witnesses } = config
  return [
    ...(file === undefined ? [] : [checkpointFile(file)]),
    ...(directory === undefined ? [] : [logDirectory(directory, size => auditLog.directoryHas(size))]),
    ...witnesses.map(witness),
  ]
}

/** Returns where the newest checkpoint is kept. A database in memory has no such file by default. */
export function checkpointPath(config: Config): string | undefined {
  const { audit_checkpoint_file: file, database_url } = config
  if (file !== undefined) return file === 'none' ? undefined : file
  if (!isEmbedded(config) || database_url === 'sqlite::memory:') return undefined
  return `${database_url.slice('sqlite:'.length)}-checkpoint`
}

/** Finds an audit log that was tampered with at start-up. @throws TamperedError that tells what to do */
export async function assertAuditIntact(store: Store): Promise<void> {
  try {
    await assertIntact(store.auditLog)
  } catch (cause) {
    if (!(cause instanceof TamperedError)) throw cause
    throw new TamperedError(
      `The audit log was tampered with: ${cause.message}. Restore the right database. If that is impossible, run \`stagedoor audit accept-loss\` (docs/concepts/audit.md).`,
      { cause },
    )
  }
}

/** Checks at start-up that the log contains what is kept outside of the database. @throws TamperedError that tells what to do */
export async function assertPublished(publisher: Publisher): Promise<void> {
  try {
    await publisher.check()
  } catch (cause) {
    if (!(cause instanceof HistoryError)) throw cause
    throw new TamperedError(
      `The audit log is not the one of which a checkpoint was kept: ${cause.message}. Restore the right database. If you replaced the database on purpose, or ran \`stagedoor audit accept-loss\`, move that checkpoint away (docs/concepts/audit.md).`,
      { cause },
    )
  }
}

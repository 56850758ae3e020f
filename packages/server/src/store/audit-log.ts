import { type RawBuilder, sql } from 'kysely'
import type { AuditLogStore, LogEntry, LogState, PendingEvent } from '../domain/audit-store.ts'
import type { AuditRunRecord, AuditTileRecord } from '../domain/records.ts'
import {
  type BoundQuery,
  type Database,
  dynamic,
  insertInto,
  long,
  param,
  prepared,
  recordEvent,
  type Step,
  sqlFor,
} from './query.ts'
import { columns } from './schema.ts'

/** The tree over the audit log: what the sequencer reads and writes, and what proofs are made of. */

/** The position of the event of an outer query; null if no run has it. */
export const leafIndex: RawBuilder<number | null> = sql`(select case
    when audit_events.seq < run.first_seq + run.count then run.first_index + audit_events.seq - run.first_seq end
  from audit_runs as run where run.first_seq <= audit_events.seq order by run.first_seq desc limit 1)`

/** Exported for the test of its plan. */
export const readState = prepared<object, LogState & { id: string }>(
  sqlFor
    .selectFrom('audit_tree')
    .selectAll()
    .select([
      sql<number>`(select coalesce(max(seq), 0) from audit_events)`.as('newest_seq'),
      sql<number>`(select coalesce(max(size), -1) from audit_checkpoints)`.as('checkpoint_size'),
      sql<number>`coalesce((select at from audit_checkpoints order by size desc limit 1), 0)`.as('checkpoint_at'),
    ]),
)

const insertTree = insertInto('audit_tree')
const insertRun = insertInto('audit_runs')
const insertTile = insertInto('audit_tiles')
const insertKey = insertInto('audit_keys')

/** Exported for the test of its plan. */
export const readPending = prepared<{ seq: number; limit: number }, PendingEvent>(
  sqlFor
    .selectFrom('audit_events')
    .select(['seq', 'id', 'event', 'leaf_hash'])
    .where('seq', '>', param('seq'))
    .orderBy('seq')
    .limit(param('limit')),
)

const extendTree = prepared<object, { size: number }>(
  sqlFor
    .updateTable('audit_tree')
    .set({ size: param('size'), root: param('root'), last_seq: param('last_seq'), holes: param('holes') })
    .where('size', '=', param('old_size'))
    .where('last_seq', '=', param('old_seq'))
    .returning('size'),
)

/** Exported for the test of its plan. */
export const readEntries = prepared<{ from_index: number; to_index: number }, LogEntry>(
  sqlFor
    .selectFrom('audit_runs as run')
    .innerJoin('audit_events as event', join =>
      join
        .on(sql<boolean>`event.seq >= run.first_seq and event.seq < run.first_seq + run.count`)
        .on(sql<boolean>`event.seq >= run.first_seq + ${param('from_index')} - run.first_index`)
        .on(sql<boolean>`event.seq < run.first_seq + ${param('to_index')} - run.first_index`),
    )
    .where(
      sql<boolean>`run.first_index >= coalesce((select max(first_index) from audit_runs where first_index <= ${param('from_index')}), 0)`,
    )
    .where('run.first_index', '<', param('to_index'))
    .selectAll('event')
    .select(sql<number>`run.first_index + event.seq - run.first_seq`.as('leaf_index'))
    .orderBy('run.first_index')
    .orderBy('event.seq'),
)

const readTiles = prepared<{ level: number; from_index: number; to_index: number }, AuditTileRecord>(
  sqlFor
    .selectFrom('audit_tiles')
    .selectAll()
    .where('level', '=', param('level'))
    .where('tile', '>=', param('from_index'))
    .where('tile', '<', param('to_index'))
    .orderBy('tile'),
)

const readRoots = prepared<{ level: number; from_index: number; to_index: number }, { root: string }>(
  sqlFor
    .selectFrom('audit_tiles')
    .select('root')
    .where('level', '=', param('level'))
    .where('tile', '>=', param('from_index'))
    .where('tile', '<', param('to_index'))
    .orderBy('tile'),
)

const cosign = prepared<{ size: number; cosignatures: string }>(
  sqlFor
    .updateTable('audit_checkpoints')
    .set({ cosignatures: param('cosignatures') })
    .where('size', '=', param('size')),
)

/** The age from which checkpoints are thinned, and the time of which one is kept, in ms: as the triggers of 0026 say. */
const KEPT = 172_800_000
const HOUR = 3_600_000

const thin = prepared<{ limit: number }, { size: number }>(
  sqlFor
    .deleteFrom('audit_checkpoints')
    .where('size', 'in', eb =>
      eb
        .selectFrom('audit_checkpoints as old')
        .select('old.size')
        .where(
          sql<boolean>`exists (select 1 from audit_checkpoints as later where later.size > old.size
            and later.at / ${sql.lit(HOUR)} = old.at / ${sql.lit(HOUR)})`,
        )
        .where(sql<boolean>`old.at <= (select at from audit_checkpoints order by size desc limit 1) - ${sql.lit(KEPT)}`)
        .orderBy('old.size')
        .limit(param('limit')),
    )
    .returning('size'),
)

const retireKey = prepared<{ id: string; retired_at: number }, { id: string }>(
  sqlFor
    .updateTable('audit_keys')
    .set({ retired_at: param('retired_at') })
    .where('id', '=', param('id'))
    .where('retired_at', 'is', null)
    .returning('id'),
)

const creationOfKey = prepared<{ target_id: string }, { leaf_index: number | null }>(
  sqlFor
    .selectFrom('audit_events')
    .select(leafIndex.as('leaf_index'))
    .where('action', '=', sql.lit('audit_key.create'))
    .where('outcome', '=', sql.lit('done' as const))
    .where('target_id', '=', param('target_id')),
)

export function auditLog(db: Database): AuditLogStore {
  return {
    ...sequencing(db),
    ...nodes(db),
    ...checkpoints(db),
    ...keys(db),
    onChange: listener => db.onAuditTree(listener),
  }
}

type Sequencing = 'state' | 'create' | 'pending' | 'extend' | 'openTransactions' | 'outside'

/** What the sequencer reads and writes. */
function sequencing(db: Database): Pick<AuditLogStore, Sequencing> {
  return {
    async state() {
      const row = await db.get(readState({}))
      if (!row) return undefined
      const { id: _, ...state } = row
      return state
    },

    async create(tree) {
      if (await db.get(readState({}))) return
      await db.transition({ query: insertTree({ id: 'tree', ...tree }) }).catch(async error => {
        // Two nodes start at the same time: the other one created it.
        if (!(await db.get(readState({})))) throw error
      })
    },

    async pending({ last_seq, holes }, limit) {
      const later = await db.all(readPending({ seq: last_seq, limit }))
      if (holes.length === 0) return later
      const inHoles = sql.join(
        holes.map(({ seq, count = 1 }) => sql`(seq >= ${seq} and seq < ${seq + count})`),
        sql` or `,
      )
      const late = await db.all(
        dynamic<PendingEvent>(
          sqlFor
            .selectFrom('audit_events')
            .select(['seq', 'id', 'event', 'leaf_hash'])
            .where(sql<boolean>`(${inHoles})`)
            .orderBy('seq')
            .limit(limit),
        ),
      )
      return [...late, ...later]
    },

    async extend({ size: old_size, last_seq: old_seq }, { tree, runs, tiles }) {
      const steps: Step[] = [...insertRuns(runs), ...insertTiles(tiles)]
      const extended = await db.transition(
        { query: extendTree({ ...tree, old_size, old_seq }), required: true },
        ...steps,
      )
      return extended !== undefined
    },

    openTransactions: () => db.openTransactions(),

    outside({ after, up_to }, limit) {
      return db.all(
        long(
          sqlFor
            .selectFrom('audit_events')
            .select(['seq', 'id', 'at'])
            .where('seq', '>', after)
            .where('seq', '<=', up_to)
            .where(sql<boolean>`${leafIndex} is null`)
            .orderBy('seq')
            .limit(limit),
        ),
      )
    },
  }
}

/** What proofs are made of. */
function nodes(db: Database): Pick<AuditLogStore, 'entries' | 'tiles' | 'roots'> {
  return {
    entries: (from_index, to_index) => db.all(readEntries({ from_index, to_index })),

    tiles: (level, from_index, to_index) => db.all(readTiles({ level, from_index, to_index })),

    async roots(level, from_index, to_index) {
      const rows = await db.all(readRoots({ level, from_index, to_index }))
      return rows.map(({ root }) => root)
    },
  }
}

type Checkpoints = 'checkpoints' | 'latestCheckpoint' | 'addCheckpoint' | 'setCosignatures' | 'thinCheckpoints'

function checkpoints(db: Database): Pick<AuditLogStore, Checkpoints> {
  return {
    checkpoints(before_size, limit) {
      const all = sqlFor.selectFrom('audit_checkpoints').selectAll().orderBy('size', 'desc').limit(limit)
      return db.all(dynamic(before_size === undefined ? all : all.where('size', '<', before_size)))
    },

    latestCheckpoint({ cosignatures, size }) {
      let all = sqlFor.selectFrom('audit_checkpoints').selectAll().orderBy('size', 'desc').limit(1)
      if (size !== undefined) all = all.where('size', '<=', size)
      // One line per signature.
      if (cosignatures > 0)
        all = all.where(
          sql<boolean>`length(cosignatures) - length(replace(cosignatures, ${'\n'}, '')) >= ${cosignatures}`,
        )
      return db.get(dynamic(all))
    },

    async addCheckpoint(checkpoint, forget) {
      const added = await db.transition(
        { query: insertNewCheckpoint(checkpoint), required: true },
        ...(forget.length === 0 ? [] : [{ query: forgetKeys(forget) }]),
      )
      return added !== undefined
    },

    async setCosignatures(size, cosignatures) {
      await db.transition({ query: cosign({ size, cosignatures }) })
    },

    async thinCheckpoints(limit) {
      return (await db.transition({ query: thin({ limit }) }))?.length ?? 0
    },
  }
}

function keys(db: Database): Pick<AuditLogStore, 'keys' | 'changeKey' | 'coversKey'> {
  return {
    keys: () => db.all(dynamic(sqlFor.selectFrom('audit_keys').selectAll().orderBy('created_at').orderBy('id'))),

    async changeKey(key, retires, event) {
      const retired_at = key.created_at
      const first: Step =
        retires === undefined
          ? { query: insertFirstKey(key), required: true }
          : { query: retireKey({ id: retires, retired_at }), required: true }
      const more = retires === undefined ? [] : [{ query: insertKey(key) }]
      return (await db.transition(first, ...more, recordEvent(event))) !== undefined
    },

    async coversKey(target_id, size) {
      const found = await db.all(creationOfKey({ target_id }))
      return found.some(({ leaf_index }) => leaf_index !== null && leaf_index < size)
    },
  }
}

function insertRuns([first, ...more]: readonly AuditRunRecord[]): Step[] {
  if (!first) return []
  return [{ query: more.length === 0 ? insertRun(first) : insertAll('audit_runs', [first, ...more]) }]
}

function insertTiles([first, ...more]: readonly AuditTileRecord[]): Step[] {
  if (!first) return []
  return [{ query: more.length === 0 ? insertTile(first) : insertAll('audit_tiles', [first, ...more]) }]
}

/** Inserts several rows with a query, because `combine` cannot make `values` with several rows conditional. */
function insertAll(table: 'audit_runs' | 'audit_tiles', rows: readonly object[]): BoundQuery {
  const names = Object.keys(columns[table])
  const selects = rows.map(row => {
    const values = names.map(name => sql`${(row as Record<string, unknown>)[name]} as ${sql.ref(name)}`)
    return sql`select ${sql.join(values)}`
  })
  const all = sql`(${sql.join(selects, sql` union all `)})`.as('added')
  return dynamic(
    sqlFor
      .insertInto(table)
      .columns(names as never)
      .expression(sqlFor.selectFrom(all as never).selectAll() as never),
  )
}

/** Returns a statement that inserts a row unless one exists for which this holds. A unique index decides between two nodes. */
const insertUnless = (table: 'audit_checkpoints' | 'audit_keys', exists: RawBuilder<boolean>) => {
  const names = Object.keys(columns[table])
  return sqlFor
    .insertInto(table)
    .columns(names as never)
    .expression(
      sqlFor
        .selectNoFrom(eb => names.map(name => eb.val(param(name)).as(name)))
        .where(sql<boolean>`not exists (select 1 from ${sql.table(table)} where ${exists})`) as never,
    )
    .onConflict(conflict => conflict.doNothing())
}

const insertNewCheckpoint = prepared<{ size: number }, { size: number }>(
  insertUnless('audit_checkpoints', sql<boolean>`size = ${param('size')}`).returning('size' as never) as never,
)

/** Inserts a key only if none is active. */
const insertFirstKey = prepared<{ name: string }, { id: string }>(
  insertUnless('audit_keys', sql<boolean>`name = ${param('name')} and retired_at is null`).returning(
    'id' as never,
  ) as never,
)

const forgetKeys = (ids: readonly string[]) =>
  dynamic(sqlFor.updateTable('audit_keys').set({ sealed_private_key: null }).where('id', 'in', ids))

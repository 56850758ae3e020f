import { sql } from 'kysely'
import type { ActorRecord } from '../domain/records.ts'
import { type Store, UniqueValueTaken } from '../domain/store.ts'
import { readPage } from './paging.ts'
import {
  columnValue,
  type Database,
  param,
  prepared,
  recordEvent,
  type Step,
  sqlFor,
  UniqueViolation,
} from './query.ts'
import { addCutoff } from './revocations.ts'
import { columns } from './schema.ts'

const actorColumns = Object.keys(columns.actors) as (keyof ActorRecord)[]
/** What a second registration of the same actor does not change. */
const KEPT: readonly string[] = ['sub', 'sub_folded', 'created_at', 'facts_version', 'disabled_at']

/** Triggers give the row a new version if its facts change (0016_actors). */
const put = prepared<ActorRecord, ActorRecord>(
  sqlFor
    .insertInto('actors')
    .values(Object.fromEntries(actorColumns.map(column => [column, columnValue(column)])) as never)
    .onConflict(conflict =>
      conflict.column('sub').doUpdateSet(eb => ({
        ...Object.fromEntries(
          actorColumns.filter(column => !KEPT.includes(column)).map(column => [column, eb.ref(`excluded.${column}`)]),
        ),
        // An actor that stays disabled keeps the time since when it is.
        disabled_at: sql<number>`case when excluded.disabled_at is null then null else coalesce(actors.disabled_at, excluded.disabled_at) end`,
      })),
    )
    .returningAll() as never,
)

const find = prepared<{ sub: string }, ActorRecord>(
  sqlFor.selectFrom('actors').selectAll().where('sub', '=', param('sub')),
)

/** Maximum number of actor tokens that are searched for unknown actors. */
const LATEST_TOKENS = 1_000

/** The ids of actor tokens sort by time. Those of other tokens begin differently. */
const latestTokens = sqlFor
  .selectFrom('actor_tokens')
  .select(['actor_sub', 'status', 'created_at'])
  .where('id', '>', sql.lit('act_'))
  .where('id', '<', sql.lit('act`'))
  .orderBy('id', 'desc')
  .limit(sql.lit(LATEST_TOKENS))

/** Exported for the test of its plan. */
export const unknown = prepared<{ since: number }, { actor_sub: string }>(
  sqlFor
    .selectFrom(latestTokens.as('found'))
    .select(sql<string>`found.actor_sub`.as('actor_sub'))
    .where('found.actor_sub', 'is not', null)
    .where('found.status', '=', 'accepted')
    .where('found.created_at', '>=', param('since'))
    .where(eb => eb.not(eb.exists(eb.selectFrom('actors').select('sub').whereRef('sub', '=', 'found.actor_sub'))))
    .where(eb => eb.not(eb.exists(eb.selectFrom('users').select('id').whereRef('id', '=', 'found.actor_sub'))))
    .where(eb =>
      eb.not(eb.exists(eb.selectFrom('users').select('id').whereRef('external_id', '=', 'found.actor_sub'))),
    ),
)

const remove = prepared<{ sub: string }, { sub: string }>(
  sqlFor.deleteFrom('actors').where('sub', '=', param('sub')).returning('sub'),
)

/** The actor's entry in the registry. Locks it, so a change waits for the statement, or the statement for the change. */
export const lockedActor = (actorSub: unknown) =>
  sqlFor.selectFrom(
    sqlFor
      .selectFrom('actors as registered')
      .select(['registered.sub', 'registered.disabled_at', 'registered.facts_version'])
      .where('registered.sub', '=', actorSub as string)
      .limit(1)
      .forShare()
      .as('entry'),
  )

/** The same, if the actor is disabled. */
export const disabledActorLocked = (actorSub: unknown) =>
  lockedActor(actorSub).select('entry.sub').where('entry.disabled_at', 'is not', null)

export function actors(db: Database): Store['actors'] {
  return {
    async put(actor, event) {
      try {
        const steps: Step[] = [recordEvent(event)]
        // What the actor has is revoked in the same transaction.
        if (actor.disabled_at !== null) steps.unshift({ query: addCutoff({ scope: 'actor', subject: actor.sub }) })
        const [stored] = (await db.transition({ query: put(actor), required: true, revokes: true }, ...steps)) ?? []
        return stored ?? actor
      } catch (error) {
        throw error instanceof UniqueViolation && error.columns === 'actors.sub_folded'
          ? new UniqueValueTaken('sub')
          : error
      }
    },

    find: sub => db.get(find({ sub })),

    list({ kind, disabled, counted }, page) {
      const all = sqlFor.selectFrom('actors')
      const { starting_after = '' } = page
      const further = all.where('sub', '>', starting_after)
      const rows = (limit: number, offset: number) => further.selectAll().orderBy('sub').limit(limit).offset(offset)
      // The registry is small, so these filters have no index: at most 1,000 actors are tested per request.
      const rest = [
        ...(kind === undefined ? [] : [sql<boolean>`kind = ${kind}`]),
        ...(disabled === undefined
          ? []
          : [disabled ? sql<boolean>`disabled_at is not null` : sql<boolean>`disabled_at is null`]),
      ]
      return readPage(db, { ...page, counted }, { rows, whole: [all.orderBy('sub')], rest, cursor: ({ sub }) => sub })
    },

    async delete(sub, event) {
      const removed = await db.transition({ query: remove({ sub }), required: true, revokes: true }, recordEvent(event))
      return removed !== undefined
    },

    async unknown(since) {
      const found = await db.all(unknown({ since }))
      return [...new Set(found.map(({ actor_sub }) => actor_sub))].sort()
    },
  }
}

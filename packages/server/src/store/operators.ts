import { sql } from 'kysely'
import type { OperatorSignIn } from '../domain/operator-store.ts'
import type { ActorRecord, OperatorLinkRecord, OperatorPasskeyRecord, OperatorRecord } from '../domain/records.ts'
import { type Store, UniqueValueTaken } from '../domain/store.ts'
import { endSessionOf, endSessionsOf, insertSession, takeSignIn, usePasskey } from './operator-sessions.ts'
import { readPage } from './paging.ts'
import {
  type Database,
  insertInto,
  now,
  param,
  prepared,
  recordEvent,
  type Step,
  sqlFor,
  UniqueViolation,
} from './query.ts'
import { addCutoff } from './revocations.ts'
import { columns } from './schema.ts'

const insertOperator = insertInto('operators')
const insertLink = insertInto('operator_links')
const insertPasskey = insertInto('operator_passkeys')

const valuesOf = (table: 'operators' | 'actors') =>
  Object.fromEntries(Object.keys(columns[table]).map(column => [column, param(column)])) as never

const find = prepared<{ id: string }, OperatorRecord>(
  sqlFor.selectFrom('operators').selectAll().where('id', '=', param('id')),
)

const findByIdentity = prepared<{ iss: string; sub: string }, OperatorRecord>(
  sqlFor.selectFrom('operators').selectAll().where('iss', '=', param('iss')).where('sub', '=', param('sub')),
)

const findByLocalName = prepared<{ local_name: string }, OperatorRecord>(
  sqlFor.selectFrom('operators').selectAll().where('local_name', '=', param('local_name')),
)

/** Adds the operator or changes what a sign-in changes, unless the operator is disabled. */
const put = prepared<OperatorRecord, OperatorRecord>(
  sqlFor
    .insertInto('operators')
    .values(valuesOf('operators'))
    .onConflict(conflict =>
      conflict
        .column('id')
        .doUpdateSet(eb => ({
          actor_sub: eb.ref('excluded.actor_sub'),
          role: eb.ref('excluded.role'),
          role_source: eb.ref('excluded.role_source'),
          name: eb.ref('excluded.name'),
          email: eb.ref('excluded.email'),
          last_sign_in_at: eb.ref('excluded.last_sign_in_at'),
          updated_at: eb.ref('excluded.updated_at'),
        }))
        .where('operators.disabled_at', 'is', null),
    )
    .returningAll(),
)

/** Registers the operator as an actor. What else is registered about the actor stays, above all that it is disabled. */
const register = (keepsTeams: boolean) =>
  prepared<ActorRecord>(
    sqlFor
      .insertInto('actors')
      .values(valuesOf('actors'))
      .onConflict(conflict =>
        conflict.column('sub').doUpdateSet(eb => ({
          kind: eb.ref('excluded.kind'),
          owner_sub: null,
          name: sql<string | null>`coalesce(excluded.name, actors.name)`,
          ...(keepsTeams ? {} : { teams: eb.ref('excluded.teams') }),
          updated_at: eb.ref('excluded.updated_at'),
        })),
      ),
  )
const registerWithTeams = register(false)
const registerKeepingTeams = register(true)

/** Operators who can sign in: not the one of a development server. */
const anyOperator = prepared<object, { id: string }>(
  sqlFor.selectFrom('operators').select('id').where('role_source', '<>', 'development').limit(sql.lit(1)),
)

const setDisabled = prepared<{ id: string; disabled_at: number }, OperatorRecord>(
  sqlFor
    .updateTable('operators')
    .set({ disabled_at: param('disabled_at'), updated_at: param('disabled_at') })
    .where('id', '=', param('id'))
    .where('disabled_at', 'is', null)
    .returningAll(),
)

/** Enables an operator, unless another one acts in the same name since. */
const setEnabled = prepared<{ id: string; updated_at: number }, OperatorRecord>(
  sqlFor
    .updateTable('operators')
    .set({ disabled_at: null, updated_at: param('updated_at') })
    .where('id', '=', param('id'))
    .where('disabled_at', 'is not', null)
    .where(eb =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('operators as other')
            .select('other.id')
            .whereRef('other.actor_sub', '=', 'operators.actor_sub')
            .where('other.disabled_at', 'is', null),
        ),
      ),
    )
    .returningAll(),
)

const disableActor = prepared<{ sub: string; disabled_at: number }>(
  sqlFor
    .updateTable('actors')
    .set({ disabled_at: param('disabled_at'), updated_at: param('disabled_at') })
    .where('sub', '=', param('sub'))
    .where('disabled_at', 'is', null),
)

/** Enables the actor if it is disabled since then: together with the operator. */
const enableActor = prepared<{ sub: string; since: number; updated_at: number }>(
  sqlFor
    .updateTable('actors')
    .set({ disabled_at: null, updated_at: param('updated_at') })
    .where('sub', '=', param('sub'))
    .where('disabled_at', '=', param('since')),
)

const findLink = prepared<{ secret_hash: string }, OperatorLinkRecord>(
  sqlFor.selectFrom('operator_links').selectAll().where('secret_hash', '=', param('secret_hash')),
)

const useLink = prepared<{ secret_hash: string }, OperatorLinkRecord>(
  sqlFor
    .updateTable('operator_links')
    .set({ used_at: now })
    .where('secret_hash', '=', param('secret_hash'))
    .where('used_at', 'is', null)
    .where('expires_at', '>', now)
    .returningAll(),
)

const findPasskey = prepared<{ id: string }, OperatorPasskeyRecord>(
  sqlFor.selectFrom('operator_passkeys').selectAll().where('id', '=', param('id')),
)

const passkeysOf = prepared<{ operator_id: string }, OperatorPasskeyRecord>(
  sqlFor.selectFrom('operator_passkeys').selectAll().where('operator_id', '=', param('operator_id')).orderBy('id'),
)

const forgetPasskeys = prepared<{ operator_id: string }>(
  sqlFor.deleteFrom('operator_passkeys').where('operator_id', '=', param('operator_id')),
)

/** Returns the steps of a sign-in. What proves who it is comes first: it can be used once. */
function stepsOf({
  operator,
  session,
  actor,
  keepsTeams,
  event,
  proof = {},
  replaces,
}: OperatorSignIn): [Step, ...Step[]] {
  const { link_hash, sign_in_hash, passkey, use } = proof
  const required = true
  const operator_id = operator.id
  const steps: Step[] = [
    ...(sign_in_hash === undefined ? [] : [{ query: takeSignIn({ secret_hash: sign_in_hash }), required } as const]),
    { query: put(operator), required },
    ...(use ? [{ query: usePasskey(use), required } as const] : []),
    ...(passkey
      ? [
          { query: forgetPasskeys({ operator_id }) },
          { query: endSessionsOf({ operator_id }) },
          { query: insertPasskey(passkey) },
        ]
      : []),
    ...(replaces === undefined ? [] : [{ query: endSessionOf({ id: replaces }) }]),
    { query: insertSession(session) },
    { query: (keepsTeams ? registerKeepingTeams : registerWithTeams)(actor) },
  ]
  const link = link_hash === undefined ? [] : [{ query: useLink({ secret_hash: link_hash }), required } as const]
  const all: Step[] = [...(link as Step[]), ...steps, recordEvent(event)]
  return all as [Step, ...Step[]]
}

export function operators(db: Database): Store['operators'] {
  return {
    find: id => db.get(find({ id })),
    findByIdentity: (iss, sub) => db.get(findByIdentity({ iss, sub })),
    async exist() {
      return (await db.get(anyOperator({}))) !== undefined
    },
    findByLocalName: local_name => db.get(findByLocalName({ local_name })),

    list({ counted }, page) {
      const all = sqlFor.selectFrom('operators')
      const { starting_after } = page
      const further = starting_after === undefined ? all : all.where('id', '<', starting_after)
      const rows = (limit: number, offset: number) =>
        further.selectAll().orderBy('id', 'desc').limit(limit).offset(offset)
      return readPage(db, { ...page, counted }, { rows, whole: [all.orderBy('id')], cursor: ({ id }) => id })
    },

    async invite(operator, link, event) {
      const steps: Step[] = [{ query: insertLink(link) }, recordEvent(event)]
      if (operator) steps.unshift({ query: insertOperator(operator) })
      await db.transition(...(steps as [Step, ...Step[]])).catch(error => {
        throw error instanceof UniqueViolation ? new UniqueValueTaken('email') : error
      })
    },

    findLink: secret_hash => db.get(findLink({ secret_hash })),

    async useLink(secret_hash, signIn, event) {
      const used = await db.transition(
        { query: useLink({ secret_hash }), required: true },
        { query: insertInto('operator_sign_ins')(signIn) },
        recordEvent(event),
      )
      return used !== undefined
    },

    async signIn(signIn) {
      try {
        return (await db.transition(...stepsOf(signIn))) !== undefined
      } catch (error) {
        if (!(error instanceof UniqueViolation)) throw error
        if (error.columns === 'actors.sub_folded') throw new UniqueValueTaken('sub')
        // An operator of another issuer, or with another `sub` there, acts in this name.
        if (error.columns === 'operators.actor_sub') throw new UniqueValueTaken('actor_sub')
        // Another sign-in has added the operator.
        if (error.columns.startsWith('operators.')) return false
        throw error
      }
    },

    async disable({ id, actor_sub }, at, event) {
      const disabled = await db.transition(
        { query: setDisabled({ id, disabled_at: at }), required: true, revokes: true },
        { query: endSessionsOf({ operator_id: id }) },
        { query: disableActor({ sub: actor_sub, disabled_at: at }) },
        { query: addCutoff({ scope: 'actor', subject: actor_sub }) },
        recordEvent(event),
      )
      return disabled?.[0]
    },

    async enable({ id, actor_sub, disabled_at }, at, event) {
      const enabled = await db.transition(
        { query: setEnabled({ id, updated_at: at }), required: true },
        { query: enableActor({ sub: actor_sub, since: disabled_at ?? 0, updated_at: at }) },
        recordEvent(event),
      )
      return enabled?.[0]
    },

    async endSessions(operator_id, event) {
      await db.transition({ query: endSessionsOf({ operator_id }), revokes: true }, recordEvent(event))
    },

    findPasskey: id => db.get(findPasskey({ id })),
    passkeysOf: operator_id => db.all(passkeysOf({ operator_id })),
  }
}

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sql } from 'kysely'
import { Statements } from '../src/store/postgres/statements.ts'
import { dynamic, insertInto, now, nowOnce, param, prepared, readTime, type Step, sqlFor } from '../src/store/query.ts'

/** Tests of the SQL that PostgreSQL receives for transitions and for batches of reads. */

const statements = new Statements(false)

const rename = prepared<{ id: string; name: string }>(
  sqlFor
    .updateTable('users')
    .set({ username: param('name'), updated_at: now })
    .where('id', '=', param('id'))
    .returning('id'),
)
const touch = prepared<{ id: string }>(
  sqlFor
    .updateTable('clients')
    .set({ updated_at: now })
    .where(eb => eb.or([eb('id', '=', param('id')), eb('id', '=', 'any')])),
)
const insertKey = insertInto('idempotency_keys')
const args = { id: 'u', name: 'n' }
const required: Step = { query: rename(args), required: true }

const shown = (steps: Step[]) => statements.ofTransition(steps)?.sql

describe('the steps of a transition on PostgreSQL', () => {
  it('become one statement, in which the later ones depend on the first', () => {
    assert.equal(
      shown([required, { query: touch(args) }]),
      'with "step_0" as (update "users" set "username" = $1::text, "updated_at" = floor(extract(epoch from clock_timestamp()) * 1000)::bigint ' +
        'where "id" = $2::text returning "id"), ' +
        '"step_1" as (update "clients" set "updated_at" = floor(extract(epoch from clock_timestamp()) * 1000)::bigint ' +
        'where ("id" = $3::text or "id" = $4::text) and exists (select 1 from "step_0")) select * from "step_0"',
    )
  })

  it('are unconditional if the first one is', () => {
    const deletion = dynamic(sqlFor.deleteFrom('users').where('id', '=', 'u'))
    assert.equal(
      shown([{ query: deletion }, { query: touch(args) }]),
      'with "step_0" as (delete from "users" where "id" = $1::text), ' +
        '"step_1" as (update "clients" set "updated_at" = floor(extract(epoch from clock_timestamp()) * 1000)::bigint ' +
        'where ("id" = $2::text or "id" = $3::text)) select 1 as "none" where false',
    )
  })

  it('keep the parameters of each step', () => {
    const insert = { owner: 'o', operation: 'p', key_hash: 'k', body_hash: 'b', made_id: 'm' }
    const found = statements.ofTransition([required, { query: insertKey(insert) }])
    assert.match(
      found?.sql ?? '',
      /"step_1" as \(insert into "idempotency_keys" \("owner", [^)]*\) select \$3::text as "owner", .* where exists \(select 1 from "step_0"\)\)/,
    )
    assert.deepEqual(
      found?.parameters.map(values => values.map(value => (value as { name?: string }).name)),
      [
        ['name', 'id'],
        ['owner', 'operation', 'key_hash', 'body_hash', 'made_id'],
      ],
    )
  })

  it('keep the conflict clause and the condition of an insert that selects its rows', () => {
    const copy = dynamic(
      sqlFor
        .insertInto('jwt_templates')
        .columns(['id'])
        .expression(sqlFor.selectFrom('clients').select('id').where('id', '=', 'c').limit(1))
        .onConflict(conflict => conflict.doNothing()),
    )
    assert.match(
      shown([required, { query: copy }]) ?? '',
      /select "id" from "clients" where "id" = \$3::text and exists \(select 1 from "step_0"\) limit \$4::bigint on conflict do nothing\)/,
    )
  })

  it('run one by one if one statement cannot do the same', () => {
    const row = { id: 'a', rotating_token_hash: 'h', previous_token_hash: null, last_active_session_id: 's' }
    const client = { ...row, created_at: 1, updated_at: 1 }
    const twoRows = dynamic(sqlFor.insertInto('clients').values([client, { ...client, id: 'b' }]))
    for (const [why, ...steps] of [
      ['a step depends on the rows of another', { ...required, next: () => [] }, { query: touch(args) }],
      ['a later step decides too', { query: touch(args) }, required],
      ['two steps change one table', required, { query: rename(args) }],
      ['an insert of several rows cannot be conditional', required, { query: twoRows }],
      ['the table is not known', required, { query: dynamic(sql`update clients set updated_at = 1`) }],
    ] as [string, ...Step[]][])
      assert.equal(shown(steps), undefined, why)
    assert.match(shown([{ query: touch(args) }, { query: dynamic(sqlFor.deleteFrom('users')) }]) ?? '', /^with /)
  })

  it('are compiled once if their queries are prepared', () => {
    const steps = (id: string): Step[] => [
      { query: rename({ id, name: id }), required: true },
      { query: touch({ id }) },
    ]
    assert.equal(statements.ofTransition(steps('a')), statements.ofTransition(steps('b')))
    assert.match(statements.ofTransition(steps('a'))?.name ?? '', /^sd_[0-9a-f]{24}$/)
  })
})

describe('a batch of reads on PostgreSQL', () => {
  it('is one statement with an array for each placeholder', () => {
    const find = prepared<{ id: string; limit: number }>(
      sqlFor
        .selectFrom('sessions')
        .select(eb => ['id', eb.val(readTime).as('now')])
        .where('id', '=', param('id'))
        .where('status', 'in', ['active', param('id')])
        .where('expire_at', '>', nowOnce)
        .where(sql<boolean>`user_id <> ${param('id')}`)
        .limit(param('limit')),
    )
    const { sql: text, parameters } = statements.ofSeveral(find({ id: '', limit: 1 }))
    assert.equal(
      text.replace(/case when .*? end/, 'READ_TIME').replace(/floor\(.*?\)::bigint/, 'NOW'),
      'select reads.read_number, found.* from unnest($1::text[], $2::bigint[]) with ordinality as reads ("arg_id", "arg_limit", "read_number"), ' +
        'lateral (select "id", READ_TIME as "now" from "sessions" where "id" = "reads"."arg_id" ' +
        'and "status" in ($3::text, "reads"."arg_id") and "expire_at" > (select NOW) ' +
        'and user_id <> "reads"."arg_id" limit "reads"."arg_limit") as found',
    )
    assert.deepEqual(
      parameters.flat().map(value => (value as { name?: string }).name ?? value),
      ['id', 'limit', 'active'],
    )
  })
})

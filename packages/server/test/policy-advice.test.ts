import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { describe, it } from 'node:test'
import { NEXT_DESIGN } from '../src/domain/policy-facts.ts'
import { MEMBERS } from '../src/policy/advice.ts'
import { readDocument } from '../src/policy/document.ts'
import { newCedar } from '../src/policy/instance.ts'
import { SCHEMA } from '../src/policy/schema.ts'

const cedar = newCedar()

/** Warnings about a text, except those of the engine itself. */
function warningsAbout(text: string): string[] {
  const { errors, warnings } = readDocument(cedar, text, [])
  assert.deepEqual(errors, [])
  return warnings
    .filter(({ message }) => !message.startsWith('Policy is impossible'))
    .map(
      ({ id, line, column, message, help }) => `${line}:${column} ${id} ${message}${help === null ? '' : ` ${help}`}`,
    )
}

const when = (condition: string, scope = 'principal, action in Action::"act", resource') =>
  warningsAbout(`@id("a") permit (${scope})\nwhen { ${condition} };`)

describe('advice about a policy', () => {
  it('names facts that nothing provides yet, and where', () => {
    for (const [fact, condition, column] of [
      ['approvals', 'context.approvals >= 1', 16],
      ['approver_teams', 'context . approver_teams.contains(Team::"leads")', 18],
      ['consent', '"context.consent" == context.key || context["consent"]', 52],
      ['break_glass', '[context.key].contains("break_glass") || context has break_glass', 61],
      ['open_reviews', '(if true then context else context).open_reviews < 1', 44],
    ] as const) {
      const [warning = '', ...more] = when(condition)
      assert.match(
        warning,
        new RegExp(`^2:${column} a Nothing provides \`context.${fact}\` yet: it is always (0|false|empty)\\.$`),
      )
      assert.deepEqual(more, [])
    }
    for (const each of ['context.depth == 1', 'context.key == "break_glass"', '["consent"].contains(context.key)'])
      assert.deepEqual(when(each), [])
  })

  it('knows each fact that nothing provides', () => {
    for (const fact of Object.keys(NEXT_DESIGN)) assert.equal(when(`context has ${fact}`).length, 1, fact)
  })

  it('names actions that are never asked about', () => {
    for (const action of ['approve', 'review']) {
      assert.deepEqual(when('true', `principal, action == Action::"${action}", resource`), [
        `1:1 a Stagedoor does not use the action \`${action}\` yet, so this has no effect.`,
      ])
    }
  })

  it('helps with an attribute that does not exist, also if it is a group or the action has no context', () => {
    const problems = (text: string) => readDocument(cedar, text, []).errors.map(({ help }) => help)
    const permit = (condition: string, action = 'action in Action::"act"') =>
      problems(`@id("a") permit (principal, ${action}, resource) when { ${condition} };`)
    assert.deepEqual(
      [...new Set(permit('principal.teams.contains("support")'))],
      ['Did you mean `principal in Team::"…"`?'],
    )
    assert.deepEqual(permit('resource.tags.contains("vip")'), ['Did you mean `resource in Tag::"…"`?'])
    assert.deepEqual(permit('resource.email like "*@acme.com"'), [
      'It can have protected, operator, blocked, level, external_id.',
    ])
    assert.deepEqual(permit('context.durations < 5'), ['Did you mean `duration`?'])
    const without = permit('context.duration < 5', 'action')
    assert.equal(without.length, 1)
    assert.match(without[0] ?? '', /has no context\. Write `action in Action::"act"` instead of `action`\.$/)
  })

  it('finds `has` of names that the schema does not know, and guesses what was meant', () => {
    for (const [condition, expected] of [
      [
        'principal has teem',
        '2:22 a `principal` never has `teem`, so this condition is always false. Did you mean `principal in Team::"…"`?',
      ],
      [
        'principal has levl && principal.levl > 3',
        '2:22 a `principal` never has `levl`, so this condition is always false. Did you mean `level`?',
      ],
      [
        'resource has tag',
        '2:21 a `resource` never has `tag`, so this condition is always false. Did you mean `resource in Tag::"…"`?',
      ],
      [
        'context has reson',
        '2:20 a `context` never has `reson`, so this condition is always false. Did you mean `reason`?',
      ],
      [
        'context has reason.tiket',
        '2:27 a `context.reason` never has `tiket`, so this condition is always false. Did you mean `ticket`?',
      ],
      [
        'context has reason && context.reason has "tiket"',
        '2:49 a `context.reason` never has `tiket`, so this condition is always false. Did you mean `ticket`?',
      ],
      [
        'context has auth && context.auth has zzz',
        '2:45 a `context.auth` never has `zzz`, so this condition is always false. It can have age, amr.',
      ],
      [
        'principal is Operator && principal has user && principal.user has lvl',
        '2:74 a `principal.user` never has `lvl`, so this condition is always false. Did you mean `level`?',
      ],
      [
        'User::"carl" has protcted',
        '2:25 a This never has `protcted`, so this condition is always false. Did you mean `protected`?',
      ],
    ] as const)
      assert.deepEqual(when(condition), [expected])
  })

  it('tells the two kinds of actors apart where the scope does', () => {
    assert.deepEqual(when('principal has user || principal has owner'), [])
    assert.equal(when('principal has user', 'principal is Operator, action, resource').length, 0)
    assert.match(when('principal has user', 'principal is Agent, action, resource')[0] ?? '', /never has `user`/)
    assert.match(when('principal has owner', 'principal == Operator::"o", action, resource')[0] ?? '', /`owner`/)
  })

  it('finds the place although records are in another order in the syntax tree', () => {
    const [warning = '', ...more] = when('{ b: principal has levl, a: principal has level }.a')
    assert.match(warning, /^2:27 a /)
    assert.deepEqual(more, [])
    // The name is also known, of something else.
    assert.match(when('{ b: context has reason, a: principal has reason }.a')[0] ?? '', /^2:\d+ a `principal` never/)
    // One warning is enough.
    assert.equal(when('principal has levl || principal has levl').length, 1)
    assert.deepEqual(when('{ levl: 1 } has levl'), [])
  })

  it('finds policies that permit `write` if none permits `read`', () => {
    const alone = /^1:1 w This policy permits `write`, but no policy permits `read`\. A request for `write` needs/
    const write = '@id("w") permit (principal, action == Action::"write", resource);'
    for (const text of [
      write,
      '@id("w") permit (principal, action, resource) when { action == Action::"write" };',
      '@id("w") permit (principal, action in Action::"act", resource) when { true && Action::"write" == action };',
      '@id("w") permit (principal, action in Action::"act", resource) unless { action == Action::"read" || context.depth > 1 };',
      `${write} @id("f") forbid (principal, action == Action::"read", resource);`,
    ]) {
      const [warning = '', ...more] = warningsAbout(text)
      assert.match(warning, alone, text)
      assert.deepEqual(more, [])
    }
    for (const read of [
      '@id("r") permit (principal, action == Action::"read", resource in Tag::"vip");',
      '@id("r") permit (principal in Team::"t", action in Action::"act", resource);',
      '@id("r") permit (principal, action in [Action::"read"], resource);',
      '@id("r") permit (principal, action, resource) when { action == Action::"read" };',
      '@id("r") permit (principal, action, resource) unless { action == Action::"write" };',
    ])
      assert.deepEqual(warningsAbout(`${write}\n${read}`), [], read)
    assert.deepEqual(warningsAbout('@id("w") permit (principal, action == Action::"approve", resource);').length, 1)
  })

  it('takes a text at its limits', () => {
    const names = Array.from({ length: 1_000 }, (_, n) => `principal has n${n}`).join('||')
    const policies = Array.from(
      { length: 4 },
      (_, n) => `@id("p${n}") permit (principal, action, resource) when { ${names} };`,
    )
    assert.equal(warningsAbout(policies.join('\n')).length, 4_000)
  })

  it('knows the members of the schema', () => {
    const { schemaToJson } = createRequire(import.meta.url)('@cedar-policy/cedar-wasm/nodejs')
    const { commonTypes, entityTypes } = schemaToJson(SCHEMA).json['']
    const members: Record<string, Record<string, string | null>> = {}
    const add = (type: string, attributes: Record<string, { type: string; name?: string; attributes?: never }>) => {
      members[type] = {}
      for (const [name, { name: of = '', attributes: inner }] of Object.entries(attributes)) {
        members[type][name] = inner ? `${type}.${name}` : of in entityTypes ? of : null
        if (inner) add(`${type}.${name}`, inner)
      }
    }
    for (const type of ['User', 'Operator', 'Agent']) add(type, entityTypes[type].shape.attributes)
    add('Acting', commonTypes.Acting.attributes)
    assert.deepEqual(members, MEMBERS)
  })
})

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FROM_CONSOLE, operatorOf, type TestOperator } from '../../../test/support/operators.ts'
import { expectOk, sharedServer, type TestServer, testServer } from '../../../test/support/server.ts'
import { forAnyOperator, REVEALING } from '../src/contract/console.ts'
import { ROLES } from '../src/contract/operation.ts'

/** What an operator with the role `viewer` sees of personal data, and what the others see. */

/** Personal data that no answer to a viewer may contain. Each is in a field of its own. */
const PERSONAL = {
  email: 'zaphod@heartofgold.example',
  second: 'beeblebrox@private.example',
  phone: '+4915112345678',
  secret: 'passport-L01X00T47',
  unsafe: 'likes-pan-galactic',
  staffPhone: 'extension-4711',
  staffEmail: 'trillian@support.example',
  reasonEmail: 'marvin@sirius.example',
  reasonPhone: '+1 555 010 9999',
  reasonAddress: '198.51.100.23',
  external: 'ford@prefect.example',
  address: '203.0.113.77',
  addressV6: '2001:db8:77:1::42',
  agent: 'Sub-Etha-Browser/42',
}

async function seed(server: TestServer) {
  const user = expectOk(
    await server.call('POST', '/v1/users', {
      first_name: 'Zaphod',
      email_address: [PERSONAL.email, PERSONAL.second],
      phone_number: [PERSONAL.phone],
      external_id: PERSONAL.external,
      private_metadata: { passport: PERSONAL.secret, stagedoor: { level: 2 } },
      unsafe_metadata: { note: { deep: PERSONAL.unsafe } },
      public_metadata: { plan: 'gold' },
    }),
  )
  const acting = await server.signIn({
    user_id: user.id,
    actor: {
      sub: 'trillian',
      name: 'Trillian',
      email: PERSONAL.staffEmail,
      extension: PERSONAL.staffPhone,
      act: { sub: 'boss', email: PERSONAL.staffEmail },
    },
    reason: `Asked ${PERSONAL.reasonEmail} by ${PERSONAL.reasonPhone} from ${PERSONAL.reasonAddress} and ${PERSONAL.addressV6}`,
    ticket: `https://tickets.example/?of=${PERSONAL.reasonEmail}`,
  })
  await server.call('GET', '/v1/users', undefined, { authorization: 'Bearer sk_test_wrong' })
  await server.call('POST', '/v1/actor_tokens', {
    user_id: user.id,
    actor: { sub: 'x' },
    return_url: 'https://e.example',
  })
  const [token] = expectOk(await server.call('GET', `/v1/actor_tokens?user_id=${user.id}&status=accepted`))
  return { user, acting, token }
}

/** Events have the address of the caller, who is not on a network in these tests. */
async function eventWithAddress(server: TestServer, user_id: string): Promise<string> {
  const { auditEvent } = await import('../src/domain/audit/event.ts')
  const ctx = server.stagedoor.context({ type: 'system', id: null })
  Object.assign(ctx.caller, { address: PERSONAL.address, user_agent: PERSONAL.agent })
  const actor = JSON.stringify({ sub: 'trillian', email: PERSONAL.staffEmail })
  const event = auditEvent(ctx, { action: 'session.end', about: { user_id }, actor, reason: PERSONAL.reasonEmail })
  await ctx.store.audit.append(event)
  return event.id
}

const found = (text: string) => Object.entries(PERSONAL).flatMap(([name, value]) => (text.includes(value) ? name : []))

/** Answers of the reads of the Backend API, by operation. */
async function readAll(operator: TestOperator, ids: Record<string, string>) {
  const answers = new Map<string, string>()
  for (const operation of forAnyOperator) {
    if (operation.method !== 'get' || operation.stream) continue
    const path = operation.path.replace(/\{(\w+)\}/g, (_all, name: string) => ids[name] ?? 'unknown')
    const query = { Search: '?query=zaphod', ExportAuditEvents: '?format=csv' }[operation.id] ?? ''
    const answer = await operator.call('GET', path + query)
    if (answer.status === 200) answers.set(operation.id, answer.text)
  }
  return answers
}

describe('personal data', () => {
  const shared = sharedServer()

  it('is in no answer to a viewer, whatever operation it is; the other roles see it', async () => {
    await using server = await testServer()
    const { user, acting, token } = await seed(server)
    const audit_event_id = await eventWithAddress(server, user.id)
    const ids = {
      user_id: user.id,
      session_id: acting.session_id,
      actor_token_id: token.id,
      audit_event_id,
      sub: 'trillian',
    }
    for (const role of ROLES) {
      const operator = await operatorOf(server, role, { email: `${role}@staff.example` })
      const answers = await readAll(operator, ids)
      assert.ok(answers.size >= 20, `${answers.size} operations`)
      for (const id of REVEALING) assert.ok(answers.has(id), id)
      const seen = new Set<string>()
      for (const [operation, text] of answers)
        for (const name of found(text)) {
          assert.notEqual(role, 'viewer', `${operation}: ${name}`)
          seen.add(name)
        }
      const expected = role === 'viewer' ? [] : Object.keys(PERSONAL)
      assert.deepEqual([...seen].sort(), expected.sort(), role)
    }
  })

  it('is hidden by name; what identifies, and what the screens need, stays', async () => {
    const server = shared()
    const { user } = await seed(server)
    const viewer = await operatorOf(server, 'viewer')
    const shown = expectOk(await viewer.call('GET', `/v1/users/${user.id}`))
    assert.deepEqual(
      [
        shown.email_addresses[0].email_address,
        shown.phone_numbers[0].phone_number,
        shown.external_id,
        shown.first_name,
      ],
      ['z•••@•••', '•••78', 'f•••@•••', 'Zaphod'],
    )
    assert.deepEqual(shown.private_metadata, { passport: '•••', stagedoor: { level: 2 } })
    assert.deepEqual([shown.unsafe_metadata, shown.public_metadata], [{ note: '•••' }, { plan: 'gold' }])
    const [acting] = expectOk(await viewer.call('GET', `/v1/acting?user_id=${user.id}`))
    assert.deepEqual(acting.actor, {
      sub: 'trillian',
      name: 'Trillian',
      email: '•••',
      extension: '•••',
      act: { sub: 'boss', email: '•••' },
    })
    assert.equal(acting.reason, 'Asked m•••@••• by •••99 from ••• and •••')
    assert.equal(acting.user.email, 'z•••@•••')
  })

  it('of their own sign-in is shown to a viewer', async () => {
    const viewer = await operatorOf(shared(), 'viewer', { email: 'own@staff.example' })
    const me = expectOk(await viewer.call('GET', '/me'))
    assert.deepEqual([me.personal_data, me.operator.email], ['masked', 'own@staff.example'])
    const support = await operatorOf(shared(), 'support')
    assert.equal(expectOk(await support.call('GET', '/me')).personal_data, 'shown')
  })

  it('is not told by the order of a list, or by its cursor', async () => {
    const viewer = await operatorOf(shared(), 'viewer')
    const support = await operatorOf(shared(), 'support')
    for (const by of ['email_address', '-phone_number', '%2Busername']) {
      const path = `/v1/users?order_by=${by}&paginated=true&limit=1`
      assert.deepEqual((await viewer.call('GET', path)).codes, ['form_param_value_invalid'], by)
      expectOk(await support.call('GET', path))
    }
    expectOk(await viewer.call('GET', '/v1/users?order_by=-created_at'))
  })

  it('of a search is hidden whole', async () => {
    const server = shared()
    const viewer = await operatorOf(server, 'viewer')
    expectOk(await viewer.call('GET', '/v1/search?query=arthur'))
    const [event] = expectOk(await viewer.call('GET', '/v1/audit_events?action=console.search&limit=1'))
    assert.equal(event.reason, '•••')
    const admin = await operatorOf(server, 'admin')
    assert.equal(
      expectOk(await admin.call('GET', '/v1/audit_events?action=console.search&limit=1'))[0].reason,
      'arthur',
    )
  })
})

describe('reveal=true', () => {
  it('shows the object whole to each role, and records who saw what of whom', async () => {
    await using server = await testServer()
    const { user, acting, token } = await seed(server)
    const event_id = await eventWithAddress(server, user.id)
    const paths = {
      GetUser: `/v1/users/${user.id}`,
      GetSession: `/v1/sessions/${acting.session_id}`,
      GetActorToken: `/v1/actor_tokens/${token.id}`,
      GetAuditEvent: `/v1/audit_events/${event_id}`,
    }
    const members: Record<keyof typeof paths, string[]> = {
      GetUser: ['email_addresses', 'external_id', 'phone_numbers', 'private_metadata', 'unsafe_metadata'],
      GetSession: ['actor', 'reason', 'ticket'],
      GetActorToken: ['actor', 'reason', 'ticket'],
      GetAuditEvent: ['actor', 'address', 'reason', 'user_agent'],
    }
    for (const role of ROLES) {
      const operator = await operatorOf(server, role)
      for (const id of REVEALING) {
        const byKey = expectOk(await server.call('GET', paths[id]))
        const revealed = expectOk(await operator.call('GET', `${paths[id]}?reveal=true`))
        // An event gets its position in the log between two reads.
        assert.deepEqual({ ...revealed, leaf_index: null }, { ...byKey, leaf_index: null }, `${role} ${id}`)
        const [event, ...more] = await server.auditEvents({
          action: 'console.reveal',
          principal_id: operator.id,
          limit: '1',
        })
        assert.deepEqual(more, [])
        assert.deepEqual([event?.principal, event?.actor_sub], [{ type: 'operator', id: operator.id }, operator.sub])
        assert.deepEqual([event?.['user_id'], event?.['target_id']], [user.id, byKey.id])
        const details = (event?.['details'] ?? {}) as { object: string; revealed: string[] }
        assert.deepEqual([details.object, details.revealed.sort()], [byKey.object, members[id]])
        // The event says which members, and none of the values.
        const { rows } = await server.stagedoor.services.store.audit.list(
          { action: 'console.reveal' },
          { limit: 1, offset: 0 },
        )
        assert.deepEqual(found(rows[0]?.event ?? ''), [])
      }
      const events = await server.auditEvents({ action: 'console.reveal', principal_id: operator.id })
      assert.equal(events.length, REVEALING.length)
      // Without it nothing is recorded.
      for (const id of REVEALING) expectOk(await operator.call('GET', `${paths[id]}?reveal=false`))
      assert.equal((await server.auditEvents({ action: 'console.reveal', principal_id: operator.id })).length, 4)
    }
  })

  it('shows nothing if the event cannot be written, if there is no such object, or outside the console', async () => {
    await using server = await testServer()
    const { user } = await seed(server)
    const viewer = await operatorOf(server, 'viewer')
    const path = `/v1/users/${user.id}?reveal=true`
    assert.equal((await server.call('GET', path)).status, 200, 'a key sees everything, and records nothing')
    assert.equal((await viewer.call('GET', '/v1/users/user_unknown?reveal=true')).status, 404)
    assert.deepEqual((await viewer.call('GET', '/v1/users?reveal=true')).codes, ['form_param_unknown'])
    assert.equal((await viewer.call('GET', `/v1/users/${user.id}?reveal=perhaps`)).status, 422)
    assert.deepEqual(await server.auditEvents({ action: 'console.reveal' }), [])
    const { audit } = server.stagedoor.services.store
    const { append } = audit
    audit.append = () => Promise.reject(new Error('disk full'))
    const answer = await viewer.call('GET', path)
    audit.append = append
    assert.equal(answer.status, 500)
    assert.deepEqual(found(answer.text), [])
  })

  it('counts as a search: 60 per minute and operator', async () => {
    await using server = await testServer()
    const { user } = await seed(server)
    const viewer = await operatorOf(server, 'viewer')
    for (let n = 0; n < 60; n++) expectOk(await viewer.call('GET', `/v1/users/${user.id}?reveal=1`))
    const answer = await viewer.call('GET', `/v1/users/${user.id}?reveal=1`)
    assert.deepEqual([answer.status, answer.codes, found(answer.text)], [429, ['too_many_requests'], []])
    assert.deepEqual((await viewer.call('GET', '/v1/search?query=zaphod')).codes, ['too_many_requests'])
    expectOk(await viewer.call('GET', `/v1/users/${user.id}`))
  })

  it('is for a page of the console only', async () => {
    await using server = await testServer()
    const { user } = await seed(server)
    const viewer = await operatorOf(server, 'viewer')
    const headers = { ...FROM_CONSOLE, cookie: viewer.cookie, origin: 'https://evil.example' }
    const answer = await server.call('GET', `/console/api/v1/users/${user.id}?reveal=true`, undefined, headers)
    assert.equal(answer.status, 403)
    assert.deepEqual(await server.auditEvents({ action: 'console.reveal' }), [])
  })
})

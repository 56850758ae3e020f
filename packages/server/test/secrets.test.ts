import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { pino } from 'pino'
import { expectOk, SECRET_KEY, testServer } from './support.ts'

describe('secrets', () => {
  it('reach no log, no error and no audit event, whatever goes wrong', async () => {
    const lines: string[] = []
    const log = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) })
    const masterKey = Buffer.from('a master key that is long enough to be taken').toString('base64')
    await using server = await testServer({ log, env: { STAGEDOOR_MASTER_KEY: masterKey } })
    const answers: string[] = []
    const keep = async <T extends { text: string }>(answer: Promise<T>): Promise<T> => {
      const kept = await answer
      answers.push(kept.text)
      return kept
    }

    const session = await server.signIn()
    const pending = await server.createActorToken()
    const { jwt } = expectOk(
      await server.post(`/v1/client/sessions/${session.session_id}/tokens`, {}, { cookie: session.cookie }),
    )
    const secrets = [
      SECRET_KEY,
      masterKey,
      pending.token,
      session.ticket,
      session.cookie.slice('__client='.length),
      jwt,
    ]

    const attempts = async () => {
      for (const ticket of [session.ticket, pending.token, `${pending.token}x`, jwt]) {
        await keep(server.call('GET', `/v1/tickets/accept?ticket=${ticket}x`))
        await keep(
          server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: `${ticket}x` }, { cookie: session.cookie }),
        )
        await keep(server.call('POST', '/v1/actor_tokens/accept', { ticket: `${ticket}x`, [ticket]: ticket }))
        await keep(server.call('POST', '/v1/clients/verify', { token: `${ticket}x` }))
        await keep(server.call('GET', '/v1/users', undefined, { authorization: `Bearer ${ticket}` }))
      }
      await keep(server.call('GET', '/v1/users', undefined, { authorization: `Bearer ${SECRET_KEY}x` }))
      await keep(
        server.call('POST', '/v1/client/sign_ins', `strategy=ticket&ticket=${pending.token}`, {
          'content-type': 'text/plain',
        }),
      )
      await keep(
        server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: session.ticket }, { cookie: session.cookie }),
      )
    }
    await attempts()
    const events = JSON.stringify(await server.auditEvents()) + (await server.call('GET', '/v1/refused_requests')).text
    const rows = JSON.stringify((await server.stagedoor.services.store.audit.list({}, { limit: 500, offset: 0 })).rows)

    // And when the store is gone, which is logged with its error.
    await server.stagedoor.services.store.close()
    const failed = await keep(server.call('GET', '/v1/users'))
    assert.ok(failed.status >= 500)
    assert.doesNotMatch(failed.text, / at |node_modules|\.ts/, 'no stack in an answer')
    await attempts()
    assert.ok(lines.length > 0, 'something was logged')

    for (const secret of secrets) {
      for (const [where, text] of Object.entries({ log: lines.join('\n'), events, rows })) {
        assert.ok(!text.includes(secret), `${secret.slice(0, 12)}… is in the ${where}`)
      }
      // An answer may name a member that was sent (`… is not a valid parameter`), nothing else of it.
      for (const text of answers) {
        const rest = text.replaceAll(/"(long_message|param_name)":"[^"]*"/g, '')
        assert.ok(!rest.includes(secret), `${secret.slice(0, 12)}… is in an answer: ${text.slice(0, 200)}`)
      }
    }
  })
})

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { claimsOf, expectOk, type TestServer, testServer } from './support.ts'

/** What an app is told to set, after a browser went through the handshake with this cookie. */
async function directives(server: TestServer, cookie: string): Promise<string[]> {
  const path = '/v1/client/handshake?format=nonce&__clerk_db_jwt=dvb_1&redirect_url=http://127.0.0.1:4101/'
  const sent = await server.call('GET', path, undefined, { authorization: undefined, cookie })
  const nonce = new URL(sent.headers.get('location') ?? '').searchParams.get('__clerk_handshake_nonce')
  return expectOk(await server.call('GET', `/v1/clients/handshake_payload?nonce=${nonce}`)).directives
}

/** `__session=ey…; Path=/…` as `['__session', 'ey…']`. */
const pair = (directive: string) => /^([^=]+)=([^;]*)/.exec(directive)?.slice(1) ?? []
const sessions = (all: string[]) => all.filter(directive => directive.startsWith('__session')).map(pair)

describe('the cookies of a handshake', () => {
  it('have the session token by its plain name and by that of the publishable key, the plain one last', async () => {
    await using server = await testServer()
    const { cookie, session_id } = await server.signIn()
    const [[name = '', jwt = ''] = [], [plain, same] = [], ...more] = sessions(await directives(server, cookie))
    assert.match(name, /^__session_[\w-]{8}$/)
    assert.deepEqual([plain, same, more], ['__session', jwt, []])
    assert.equal(claimsOf(jwt).sid, session_id)
  })

  it('S13 have a large session token by its plain name only, and take an old one off the other', async () => {
    await using server = await testServer()
    const actor = { sub: 'user_operator', note: 'x'.repeat(980) }
    const { cookie } = await server.signIn({ actor })
    const all = await directives(server, cookie)
    const [[name = '', gone] = [], [plain, jwt = ''] = [], ...more] = sessions(all)
    assert.match(name, /^__session_[\w-]{8}$/)
    assert.deepEqual([gone, plain, more], ['', '__session', []])
    assert.deepEqual(claimsOf(jwt).act, actor)
    assert.match(all.find(directive => directive.startsWith(name)) ?? '', /; Max-Age=0$/)
    assert.ok(all.join('').length < 3_000, `${all.join('').length} bytes`)
  })

  it('end the session under every name the app may read it by, if nobody is signed in', async () => {
    // Base64 of this host ends with `==`, and some write the key so.
    await using server = await testServer({ env: { STAGEDOOR_PUBLIC_URL: 'http://127.0.0.1:41000' } })
    for (const [name = '', value] of (await directives(server, '')).map(pair)) {
      if (name.startsWith('__session')) assert.equal(value, '', name)
      if (name.startsWith('__client_uat')) assert.equal(value, '0', name)
    }
    assert.equal(sessions(await directives(server, '')).length, 3)
  })
})

import assert from 'node:assert/strict'
import { it } from 'node:test'
import { claimsOf } from '../../../test/support/jwt.ts'
import { cookieOf, expectOk, testServer } from '../../../test/support/server.ts'

// test/public-path.test.ts checks the same behind nginx and in a browser.
it('a public URL with a path is used in links, forms, cookies and the issuer; request paths are those behind the proxy', async () => {
  const public_url = 'https://example.com/auth'
  await using server = await testServer({ env: { STAGEDOOR_PUBLIC_URL: `${public_url}/` } })
  const { url, token, user_id } = await server.createActorToken()
  assert.equal(url, `${public_url}/v1/tickets/accept?ticket=${token}`)
  const page = await server.call('GET', `/v1/tickets/accept?ticket=${token}`, undefined, { accept: 'text/html' })
  assert.match(page.text, new RegExp(`<form method="post" action="${public_url}/v1/tickets/accept"`))
  const origin = new URL(public_url).origin
  const answer = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token }, { origin })
  const { response } = expectOk(answer)
  for (const each of [page, answer])
    assert.match(each.headers.getSetCookie().join('\n'), /^__client=\S+; Path=\/auth; .*Secure/m)
  const tokens = `/v1/client/sessions/${response.created_session_id}/tokens`
  const { jwt } = expectOk(await server.post(tokens, {}, { cookie: cookieOf(answer), origin }))
  assert.deepEqual([claimsOf(jwt).iss, claimsOf(jwt).sub], [public_url, user_id])
  // Minted from a template, and by the Backend API.
  const template = { name: 'own', claims: { role: 'x' } }
  expectOk(await server.call('POST', '/v1/jwt_templates', template))
  for (const path of ['/tokens', '/tokens/own']) {
    const minted = await server.call('POST', `/v1/sessions/${response.created_session_id}${path}`, {})
    assert.equal(claimsOf(expectOk(minted).jwt).iss, public_url)
  }
  // Signing out deletes the same cookie.
  const left = await server.call('DELETE', '/v1/client', undefined, {
    authorization: undefined,
    cookie: cookieOf(answer),
    origin,
  })
  assert.match(left.headers.getSetCookie().join('\n'), /^__client=; Path=\/auth; Max-Age=0/m)
})

it('without a path in the public URL, cookies are valid for the whole host', async () => {
  await using server = await testServer()
  const { token } = await server.createActorToken()
  const page = await server.call('GET', `/v1/tickets/accept?ticket=${token}`, undefined, { accept: 'text/html' })
  assert.match(page.headers.getSetCookie().join('\n'), /^__client=\S+; Path=\/; /m)
})

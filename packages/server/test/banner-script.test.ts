import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { testServer } from '../../../test/support/server.ts'

describe('/banner.js', () => {
  it('is the SDK’s banner as a script that any page may load and that loads nothing itself', async () => {
    await using server = await testServer()
    const answer = await server.call('GET', '/banner.js', undefined, { authorization: undefined })
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('content-type'), 'text/javascript; charset=utf-8')
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
    assert.equal(answer.headers.get('access-control-allow-origin'), '*')
    assert.equal(answer.headers.get('access-control-allow-credentials'), null)
    assert.equal(answer.headers.get('cache-control'), 'public, max-age=300')
    assert.match(answer.text, /customElements\.define\(["']stagedoor-banner["']/)
    assert.doesNotMatch(answer.text, /^import /m)
    assert.ok(Buffer.byteLength(answer.text) < 50_000, `${Buffer.byteLength(answer.text)} bytes`)
    // Compile it as a browser would: it is plain JavaScript with no types left.
    await import(`data:text/javascript,${encodeURIComponent(answer.text)}`)
    assert.equal((await server.call('HEAD', '/banner.js')).status, 200)
  })
})

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { expectOk, type TestServer, testServer } from '../../../test/support/server.ts'
import { bapi } from '../src/contract/bapi.ts'
import { fapi } from '../src/contract/fapi.ts'
import { sendRaw } from './raw.ts'

/** A method that an address does not have is 405 with `Allow`; OPTIONS lists the methods that it has. */

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']

/** Every path of both APIs, with its methods as in `Allow`. A parameter stands for an id. */
const PATHS = [...Map.groupBy([...bapi, ...fapi], ({ path }) => path)].map(([path, operations]) => {
  const methods = METHODS.filter(method => operations.some(operation => operation.method.toUpperCase() === method))
  const allow = methods.flatMap(method => (method === 'GET' ? ['GET', 'HEAD'] : [method])).concat('OPTIONS')
  return { path: path.replace(/\{\w+\}/g, 'x_1'), methods, allow: allow.join(', ') }
})

describe('an address', () => {
  let server: TestServer
  let origin: string
  before(async () => {
    server = await testServer({ env: { STAGEDOOR_ALLOWED_ORIGINS: 'https://app.example.com' } })
    origin = await server.listen()
  })
  after(() => server[Symbol.asyncDispose]())

  it('refuses every method that it does not have with 405 and lists those that it has', async () => {
    assert.ok(PATHS.length > 40)
    let tried = 0
    for (const { path, methods, allow } of PATHS) {
      for (const method of [...METHODS, 'HEAD', 'PURGE'].filter(it => !allow.split(', ').includes(it))) {
        for (const headers of [{}, { authorization: undefined, origin: 'https://app.example.com' }]) {
          const answer = await server.call(method, path, undefined, headers)
          assert.deepEqual([answer.status, answer.headers.get('allow')], [405, allow], `${method} ${path}`)
          assert.deepEqual(answer.codes, method === 'HEAD' ? [] : ['method_not_allowed'], `${method} ${path}`)
          assert.equal(answer.headers.get('cache-control'), 'no-store, private')
          tried += 1
        }
      }
      // A method that exists is answered by its operation, which asks for a key, a body or an existing record.
      for (const method of methods) assert.notEqual((await server.call(method, path)).status, 405, `${method} ${path}`)
    }
    assert.ok(tried > 300, String(tried))
  })

  it('answers OPTIONS with its methods, and as a preflight if a page asks', async () => {
    for (const { path, allow } of PATHS) {
      const plain = await server.call('OPTIONS', path, undefined, { authorization: undefined })
      assert.deepEqual([plain.status, plain.headers.get('allow'), plain.text], [204, allow, ''], path)
      assert.equal(plain.headers.get('access-control-allow-methods'), null)
      const page = await server.call('OPTIONS', path, undefined, { origin: 'https://app.example.com' })
      assert.deepEqual([page.status, page.headers.get('allow')], [204, allow], path)
      assert.match(page.headers.get('access-control-allow-methods') ?? '', /DELETE/)
      const foreign = await server.call('OPTIONS', path, undefined, { origin: 'https://evil.example' })
      assert.deepEqual([foreign.status, foreign.codes], [400, ['origin_invalid']], path)
    }
  })

  it('is 404 for every method if it does not exist', async () => {
    for (const path of [
      '/',
      '/v1',
      '/v1/',
      '/v1/nothing',
      '/v1/users/',
      '/v1/users/x_1/nothing',
      '/%20GET/v1/users',
      '/.env',
    ]) {
      for (const method of [...METHODS, 'OPTIONS', 'PURGE']) {
        const answer = await server.call(method, path)
        assert.deepEqual([answer.status, answer.codes], [404, ['resource_not_found']], `${method} ${path}`)
        assert.equal(answer.headers.get('allow'), null)
      }
    }
    // A browser sends a preflight for unknown addresses too, so that its page can read the 404.
    const preflight = await server.call('OPTIONS', '/v1/nothing', undefined, { origin: 'https://app.example.com' })
    assert.deepEqual([preflight.status, preflight.headers.get('allow')], [204, null])
  })

  it('has the methods of static files too', async () => {
    for (const path of ['/banner.js', '/npm/@clerk/clerk-js@6/dist/clerk.browser.js']) {
      const answer = await server.call('POST', path)
      assert.deepEqual([answer.status, answer.headers.get('allow')], [405, 'GET, HEAD, OPTIONS'], path)
      assert.equal((await server.call('OPTIONS', path)).status, 204)
    }
  })

  it('treats an overridden method as that method', async () => {
    for (const [path, allow] of [
      ['/v1/client?_method=PATCH', 'GET, HEAD, POST, PUT, DELETE, OPTIONS'],
      ['/v1/users/x_1?_method=DELETE', 'GET, HEAD, PATCH, DELETE, OPTIONS'],
      ['/v1/client/sessions?_method=PUT', 'DELETE, OPTIONS'],
    ] as const) {
      const answer = await server.call('POST', path)
      assert.equal(answer.status, 405, path)
      if (!path.includes('/v1/client?')) assert.equal(answer.headers.get('allow'), allow, path)
    }
  })

  it('survives methods that HTTP libraries refuse', async () => {
    for (const request of ['TRACE /v1/users', 'PROPFIND /v1/users', 'QUERY /v1/users', 'OPTIONS *', 'TRACE /nothing']) {
      const head = `${request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`
      const { statuses, text } = await sendRaw(Number(new URL(origin).port), head)
      assert.ok([204, 400, 404, 405, 501].includes(statuses[0] ?? 0), `${request}: ${text}`)
      if (request.endsWith('/v1/users')) assert.match(text, /^Allow: GET, HEAD, POST, OPTIONS\r$/im, request)
    }
    expectOk(await server.call('GET', '/healthz'))
  })
})

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { expectOk, SECRET_KEY, type TestServer, testServer } from '../support/server.ts'
import { runProgram, runSteps, type Step } from './steps.ts'

/** Clerk's Go SDK and golang-jwt, unmodified, against a running server: go/main.go is the app. */

const go = process.env.GO ?? 'go'
const source = fileURLToPath(new URL('go', import.meta.url))
// Go is missing, or too old to read go.mod.
const usable = spawnSync(go, ['list', '-m'], { cwd: source }).status === 0
const skip = usable ? false : 'needs the Go version of go/go.mod: set-up found none and could not install it'
const actor = { sub: 'user_operator', iss: 'https://admin.example.com', reason: 'ticket 4711', nested: { a: [1, 'ü'] } }

describe('Go', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'stagedoor-go-'))
  const program = join(directory, 'client')
  let server: TestServer
  let step: (name: string) => Step
  /** Starts a server at this public URL, and runs the app against it. */
  async function run(issuer: string, env: Record<string, string> = {}, signedIn = false) {
    const server = await testServer({
      realTime: true,
      env: { STAGEDOOR_PUBLIC_URL: issuer, STAGEDOOR_SIGNING_ALG: 'RS256', ...env },
    })
    const SERVER_URL = await server.listen()
    const app = { SERVER_URL, ISSUER: issuer, SECRET_KEY, ACTOR: JSON.stringify(actor) }
    if (!signedIn) return { server, step: await runSteps(program, [], app) }
    const { session_id } = await server.signIn({ actor })
    const { jwt } = expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`))
    return { server, step: await runSteps(program, [], { ...app, SESSION_TOKEN: jwt }) }
  }

  before(async () => {
    // go.sum has the checksum of every module.
    const options = { cwd: source, env: { CGO_ENABLED: '0' } }
    const built = await runProgram(go, ['build', '-mod=readonly', '-o', program, '.'], options)
    assert.equal(built.code, 0, built.stderr)
    const ran = await run('https://auth.example.com')
    server = ran.server
    step = ran.step
  })
  after(async () => {
    await server?.[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  })

  /** Returns the result of a step, which must not be an error. */
  function result(name: string) {
    const { error, result } = step(name)
    assert.equal(error, undefined, `${name}: ${JSON.stringify(error)}`)
    return result
  }
  const refusal = (name: string) => {
    const { error } = step(name)
    assert.ok(error?.errors, `${name} was not refused: ${JSON.stringify(step(name))}`)
    return { status: error.status, codes: error.errors.map(({ code }: { code: string }) => code) }
  }

  it('creates, finds, changes and deletes users', () => {
    const { id } = result('user.Create')
    assert.equal(result('user.Get').first_name, 'Ada')
    const { data, total_count } = result('user.List')
    assert.deepEqual([data.map((user: { id: string }) => user.id), total_count], [[id], 1])
    assert.equal(result('user.Count').total_count, 1)
    assert.equal(result('user.Update').last_name, 'Lovelace')
    assert.deepEqual(result('user.UpdateMetadata').public_metadata, { plan: 'gold', seats: 3 })
    assert.deepEqual([result('user.Ban').banned, result('user.Unban').banned], [true, false])
    assert.deepEqual([result('user.Lock').locked, result('user.Unlock').locked], [true, false])
    assert.equal(result('user.Delete').deleted, true)
  })

  it('creates and revokes actor tokens, with every member of the actor', () => {
    const made = result('actortoken.Create')
    assert.deepEqual([made.object, made.status, made.actor], ['actor_token', 'pending', actor])
    assert.match(made.url, /^https:\/\/auth\.example\.com\/v1\/tickets\/accept\?ticket=/)
    assert.equal(made.user_id, result('user.Create').id)
    assert.match(result('a trace ID'), /^\w{8,}$/)
    assert.equal(result('actortoken.Revoke').status, 'revoked')
    assert.deepEqual(refusal('actortoken.Revoke again'), { status: 400, codes: ['actor_token_cannot_be_revoked_code'] })
  })

  it('creates and revokes sign-in tokens', () => {
    assert.equal(result('signintoken.Create').status, 'pending')
    assert.equal(result('signintoken.Revoke').status, 'revoked')
  })

  it('lists, gets and revokes the redeemed session, and sees its actor', () => {
    const { data, total_count } = result('session.List')
    assert.deepEqual([data.length, total_count, data[0].status, data[0].actor], [1, 1, 'active', actor])
    const session = result('session.Get')
    assert.deepEqual([session.id, session.actor], [data[0].id, actor])
    assert.deepEqual(result('client.Verify').sessions.length, 1)
    assert.equal(result('client.Get').id, session.client_id)
    assert.equal(result('session.Create').status, 'active')
    assert.equal(result('session.Revoke').status, 'revoked')
    const over = { status: 401, codes: ['authentication_invalid'] }
    assert.deepEqual(refusal('session.CreateToken of a revoked session'), over)
  })

  it('creates JWT templates, and tokens from them', () => {
    assert.equal(result('jwttemplate.Create').name, 'support')
    assert.equal(result('session.CreateToken of a template').Extra.acting, actor.sub)
  })

  it('verifies session tokens with its own Verify if ProxyURL is set, and returns act', () => {
    const { sub, sid, act, iss } = result('jwt.Verify with ProxyURL')
    const expected = { sub: result('user.Create').id, sid: result('session.Get').id, act: actor }
    assert.deepEqual({ sub, sid, act, iss }, { ...expected, iss: 'https://auth.example.com' })
    assert.match(step('jwt.Verify of a forgery').error, /error in cryptographic primitive/)
    assert.equal(step('jwt.Verify').error, 'invalid issuer https://auth.example.com')
  })

  it('protects an HTTP server with its middleware', () => {
    const { status, body } = result('middleware')
    assert.deepEqual([status, JSON.parse(body)], [200, { sub: result('user.Create').id, actor }])
    assert.equal(result('middleware of a forgery').status, 401)
    assert.equal(result('middleware without a token').status, 403)
  })

  it('keeps a key in its middleware for an hour after its last use, even if the key set no longer has it', () => {
    // Twice 50 minutes after the last use the key still works (the handler answers 404); after 70 minutes it does not.
    assert.deepEqual(result('middleware once the key is gone'), [404, 404, 401])
  })

  it('parses errors as Clerk’s', () => {
    assert.deepEqual(refusal('an actor that is missing'), { status: 422, codes: ['form_param_missing'] })
    assert.deepEqual(step('an actor that is missing').error.errors[0].meta.param_name, 'actor')
    assert.deepEqual(refusal('a user who is not there'), { status: 404, codes: ['resource_not_found'] })
    assert.deepEqual(refusal('a wrong secret key'), { status: 401, codes: ['clerk_key_invalid'] })
    assert.match(step('a wrong secret key').error.clerk_trace_id, /^\w{8,}$/)
  })

  it('has no Verify for sessions: Clerk has deprecated it', () => {
    assert.equal(refusal('session.Verify').status, 404)
  })

  it('golang-jwt verifies session tokens with the server’s key set', () => {
    assert.deepEqual(result('golang-jwt').act, actor)
    assert.match(step('golang-jwt of a forgery').error, /signature is invalid/)
    assert.match(step('golang-jwt of another issuer').error, /invalid issuer/)
  })

  it('needs no ProxyURL if the host of the public URL begins with clerk.', async () => {
    const ran = await run('https://clerk.example.com', {}, true)
    await using _ = ran.server
    assert.deepEqual(ran.step('jwt.Verify').result.act, actor)
  })

  for (const alg of ['ES256', 'EdDSA']) {
    it(`verifies ${alg} too, with both libraries`, async () => {
      const ran = await run('https://auth.example.com', { STAGEDOOR_SIGNING_ALG: alg }, true)
      await using _ = ran.server
      for (const way of ['jwt.Verify with ProxyURL', 'golang-jwt'])
        assert.deepEqual(ran.step(way).result?.act, actor, ran.step(way).error)
      assert.match(ran.step('golang-jwt of a forgery').error, /signature is invalid/)
    })
  }
})

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { expectOk, SECRET_KEY, type TestServer, testServer } from '../support/server.ts'
import { runProgram, runSteps, type Step } from './steps.ts'

/** Clerk's Java SDK and Nimbus, unmodified, against a running server: java/Main.java is the app. */

const there = ['javac', 'mvn'].every(command => spawnSync(command, ['-version']).status === 0)
const skip = there ? false : 'needs javac and mvn: `npm run test:deep` installs them if it can'
const source = fileURLToPath(new URL('java', import.meta.url))
const actor = { sub: 'user_operator', iss: 'https://admin.example.com', reason: 'ticket 4711', nested: { a: [1, 'ü'] } }
const issuer = 'https://auth.example.com'
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'

describe('Java', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'stagedoor-java-'))
  const classpath = `${join(directory, 'lib', '*')}:${directory}`
  let server: TestServer
  let step: (name: string) => Step
  /** Starts a server, and runs the app against it. */
  async function run(env: Record<string, string> = {}, signedIn = false) {
    const server = await testServer({
      realTime: true,
      env: { STAGEDOOR_PUBLIC_URL: issuer, STAGEDOOR_SIGNING_ALG: 'RS256', ...env },
    })
    const SERVER_URL = await server.listen()
    const { keys } = expectOk(await server.call('GET', '/.well-known/jwks.json'))
    // Of the published keys, the one that signs now.
    const signer = await server.signIn({ actor })
    const { jwt: signed } = expectOk(await server.call('POST', `/v1/sessions/${signer.session_id}/tokens`))
    expectOk(await server.call('DELETE', `/v1/users/${signer.user_id}`))
    const { kid } = JSON.parse(Buffer.from(signed.split('.')[0], 'base64url').toString())
    const key = keys.find((each: { kid: string }) => each.kid === kid)
    const JWT_KEY = createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' }).toString()
    const app = { SERVER_URL, ISSUER: issuer, SECRET_KEY, JWT_KEY, ACTOR: JSON.stringify(actor) }
    // Java does not read a proxy from the environment.
    const args = ['-Dhttps.proxyHost=127.0.0.1', '-Dhttps.proxyPort=9', '-cp', classpath, 'Main']
    if (!signedIn) return { server, step: await runSteps('java', args, app) }
    const { session_id } = await server.signIn({ actor })
    const { jwt } = expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`))
    return { server, step: await runSteps('java', args, { ...app, SESSION_TOKEN: jwt }) }
  }

  before(async () => {
    // pom.xml has exact versions; -C refuses files that do not match their checksums.
    const pom = ['-f', join(source, 'pom.xml'), COPY, `-DoutputDirectory=${join(directory, 'lib')}`]
    const copied = await runProgram('mvn', ['--quiet', '--batch-mode', '-C', ...pom])
    assert.equal(copied.code, 0, copied.stdout)
    const built = await runProgram('javac', ['-cp', classpath, '-d', directory, join(source, 'Main.java')])
    assert.equal(built.code, 0, built.stderr)
    const ran = await run()
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

  it('creates, finds, changes and deletes users', () => {
    const id = result('users.create')
    assert.equal(result('users.get'), 'Ada')
    assert.deepEqual(result('users.list'), [id])
    assert.equal(result('users.count'), 1)
    assert.deepEqual(result('users.updateMetadata'), { plan: 'gold', seats: 3 })
    assert.deepEqual([result('users.ban'), result('users.delete')], [true, true])
  })

  it('creates and revokes actor tokens; the server receives every member of the actor, the SDK’s answer shows none', () => {
    const { status, user_id, url, actor: shown } = result('actorTokens.create')
    assert.deepEqual([status, user_id], ['pending', result('users.create')])
    assert.match(url, /^https:\/\/auth\.example\.com\/v1\/tickets\/accept\?ticket=/)
    assert.deepEqual(result('verifyToken').act, actor)
    // Its class for the actor in an answer has no members.
    assert.equal(shown, 'ActorTokenActor[]')
    assert.equal(result('actorTokens.revoke'), 'revoked')
    const again = { status: 400, codes: ['actor_token_cannot_be_revoked_code'] }
    assert.deepEqual(step('actorTokens.revoke again').error, again)
  })

  it('lists, gets and revokes the redeemed session', () => {
    const { id, status, acting } = result('sessions.get')
    assert.deepEqual([status, acting], ['active', true])
    assert.deepEqual(result('sessions.list'), [id])
    assert.equal(result('sessions.revoke'), 'revoked')
    const over = { status: 401, codes: ['authentication_invalid'] }
    assert.deepEqual(step('sessions.createToken of a revoked session').error, over)
  })

  it('verifies session tokens with its own VerifyToken if apiUrl is set', () => {
    assert.equal(result('jwks'), 200)
    const { sub, act, iss } = result('verifyToken')
    assert.deepEqual({ sub, act, iss }, { sub: result('users.create'), act: actor, iss: issuer })
    assert.equal(step('verifyToken of a forgery').error, 'token-invalid')
  })

  it('authenticates requests with jwtKey; without it, it calls Clerk', () => {
    assert.deepEqual(result('authenticateRequest with jwtKey').act, actor)
    assert.equal(result('authenticateRequest'), 'jwk-failed-to-load')
  })

  it('parses errors as Clerk’s', () => {
    assert.deepEqual(step('a user who is not there').error, { status: 404, codes: ['resource_not_found'] })
    assert.deepEqual(step('a wrong secret key').error, { status: 401, codes: ['clerk_key_invalid'] })
  })

  it('Nimbus verifies session tokens with the server’s key set', () => {
    assert.deepEqual(result('nimbus').act, actor)
    assert.match(step('nimbus of a forgery').error, /Invalid signature/)
    assert.match(step('nimbus of another issuer').error, /iss claim value rejected/)
  })

  it('Nimbus verifies ES256 too; Clerk’s SDK accepts RS256 only', async () => {
    const ran = await run({ STAGEDOOR_SIGNING_ALG: 'ES256' }, true)
    await using _ = ran.server
    assert.deepEqual(ran.step('nimbus').result?.act, actor, ran.step('nimbus').error)
    assert.match(ran.step('nimbus of a forgery').error, /Invalid signature/)
    assert.equal(ran.step('verifyToken').error, 'jwk-failed-to-resolve')
  })

  it('neither verifies EdDSA: Nimbus’ default processor does not support it', async () => {
    const ran = await run({ STAGEDOOR_SIGNING_ALG: 'EdDSA' }, true)
    await using _ = ran.server
    assert.match(ran.step('nimbus').error, /no matching key\(s\) found/)
    assert.equal(ran.step('verifyToken').error, 'jwk-failed-to-resolve')
  })
})

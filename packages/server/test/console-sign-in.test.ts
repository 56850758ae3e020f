import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { pino } from 'pino'
import { runningClock } from '../../../test/support/clock.ts'
import { CookieJar, startProvider, type TestProvider } from '../../../test/support/idp.ts'
import { freePort } from '../../../test/support/ports.ts'
import { expectOk, type TestServer, testServer } from '../../../test/support/server.ts'
import { signInWithProvider } from '../src/domain/operator-sessions.ts'

/** Signing in to the console with an identity provider, over real HTTP. The provider is oidc-provider. */

const ROLES = 'admin:sd-admins,approver:sd-leads,support:sd-support,viewer:sd-audit'
const SESSION = '__Host-stagedoor_operator'
const SIGN_IN = '__Host-stagedoor_sign_in'

interface Site extends AsyncDisposable {
  server: TestServer
  provider: TestProvider
  /** `http://localhost:4100` */
  url: string
  log: string[]
}

async function startSite(
  env: Record<string, string> = {},
  options: { userinfoOnly?: boolean; post?: boolean } = {},
): Promise<Site> {
  const port = await freePort()
  const url = `http://localhost:${port}`
  const provider = await startProvider(`${url}/console/callback`, options)
  const log: string[] = []
  const server = await testServer({
    clock: runningClock(),
    log: pino({ level: 'warn' }, { write: line => log.push(line) }),
    env: {
      STAGEDOOR_PORT: `${port}`,
      STAGEDOOR_PUBLIC_URL: `http://127.0.0.1:${port}`,
      STAGEDOOR_OPERATOR_ISSUER: provider.issuer,
      STAGEDOOR_OPERATOR_CLIENT_ID: provider.client_id,
      STAGEDOOR_OPERATOR_CLIENT_SECRET: provider.client_secret,
      STAGEDOOR_OPERATOR_ROLES: ROLES,
      ...env,
    },
  })
  await server.listen()
  return {
    server,
    provider,
    url,
    log,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await provider[Symbol.asyncDispose]()
    },
  }
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' }

/** Posts the sign-in form. @returns where the provider signs in */
async function begin({ url }: Site, jar: CookieJar, form: Record<string, string> = {}): Promise<string> {
  const response = await jar.send(`${url}/console/login`, {
    method: 'POST',
    headers: { ...FORM, origin: url },
    body: new URLSearchParams(form).toString(),
  })
  // No redirect: `form-action` would apply to where the provider redirects.
  assert.deepEqual([response.status, response.headers.get('location')], [200, null], await response.text())
  return response.headers.get('refresh')?.replace(/^0; url=/, '') ?? ''
}

/** Signs in at the provider. @returns the address of the callback, not yet requested */
const atProvider = (jar: CookieJar, address: string) => jar.follow(address, /\/console\/callback\?/)

async function signIn(site: Site, jar: CookieJar, form: Record<string, string> = {}): Promise<Response> {
  return jar.send(await atProvider(jar, await begin(site, jar, form)))
}

const api = (site: Site, jar: CookieJar, path: string, init: RequestInit = {}) =>
  jar.send(`${site.url}/console/api${path}`, {
    ...init,
    headers: { 'sec-fetch-site': 'same-origin', origin: site.url, 'content-type': 'application/json' },
  })

// biome-ignore lint/suspicious/noExplicitAny: the server checks it against the contract
const me = async (site: Site, jar: CookieJar): Promise<any> => (await api(site, jar, '/me')).json()

/** The code of the error that a page shows. */
const codeOf = async (response: Response) => /<dd>(\w+)<\/dd>/.exec(await response.text())?.[1]

describe('signing in with an identity provider', () => {
  it('gives the role of the groups, a session and an actor, and comes back to the page', async () => {
    await using site = await startSite()
    const jar = new CookieJar()
    site.provider.next = { sub: 'olivia', groups: ['staff', 'sd-support', 'sd-leads'], name: 'Olivia Park' }
    const before = Date.now()
    const answer = await signIn(site, jar, { return_to: '/console/audit?actor=1' })
    assert.deepEqual([answer.status, answer.headers.get('location')], [303, '/console/audit?actor=1'])
    const [forget, session = ''] = answer.headers.getSetCookie().sort((a, b) => (b.length > a.length ? -1 : 1))
    assert.match(
      session,
      /^__Host-stagedoor_operator=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=28800$/,
    )
    assert.match(forget ?? '', /^__Host-stagedoor_sign_in=; .*SameSite=Lax; Max-Age=0$/)
    const { operator, role, settings } = await me(site, jar)
    assert.deepEqual(
      [operator.sub, operator.name, operator.email, role],
      ['olivia', 'Olivia Park', 'olivia@example.com', 'approver'],
    )
    assert.equal(settings.idp_host, new URL(site.provider.issuer).host)
    const [stored] = expectOk(await site.server.call('GET', '/v1/operators'))
    assert.deepEqual([stored.iss, stored.sub, stored.role_source], [site.provider.issuer, 'olivia', 'claim'])
    const actor = expectOk(await site.server.call('GET', '/v1/actors/olivia'))
    assert.deepEqual(
      [actor.kind, actor.name, actor.teams],
      ['operator', 'Olivia Park', ['sd-leads', 'sd-support', 'staff']],
    )
    const [own] = expectOk(await site.server.call('GET', '/v1/operator_sessions'))
    assert.deepEqual(own.amr, ['pwd', 'otp'])
    const [event] = await site.server.auditEvents({ action: 'operator.sign_in' })
    assert.deepEqual(
      [event?.outcome, event?.principal, event?.actor_sub],
      ['done', { type: 'operator', id: stored.id }, 'olivia'],
    )
    assert.ok((event?.['at'] as number) >= before)
    // The role is read again at each sign-in.
    site.provider.next = { sub: 'olivia', groups: ['sd-audit'] }
    await signIn(site, jar)
    assert.equal((await me(site, jar)).role, 'viewer')
    assert.equal(expectOk(await site.server.call('GET', '/v1/operators')).length, 1)
  })

  it('asks with PKCE, state and nonce, and stores none of them', async () => {
    await using site = await startSite()
    const jar = new CookieJar()
    const asked = new URL(await begin(site, jar))
    const { searchParams: query } = asked
    assert.equal(asked.origin, site.provider.issuer)
    assert.deepEqual(
      [query.get('response_type'), query.get('code_challenge_method'), query.get('scope')],
      ['code', 'S256', 'openid profile email'],
    )
    assert.equal(query.get('redirect_uri'), `${site.url}/console/callback`)
    for (const name of ['state', 'nonce', 'code_challenge']) assert.match(query.get(name) ?? '', /^[\w-]{43}$/)
    const other = new URL(await begin(site, new CookieJar())).searchParams
    for (const name of ['state', 'nonce', 'code_challenge']) assert.notEqual(query.get(name), other.get(name))
  })

  it('a group that has no role: 403, with the groups, and the sessions of an operator who lost it end', async () => {
    await using site = await startSite()
    const jar = new CookieJar()
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'] }
    await signIn(site, jar)
    const elsewhere = new CookieJar()
    site.provider.next = { sub: 'olivia', groups: ['staff', '<b>interns</b>'] }
    const answer = await signIn(site, elsewhere)
    const page = await answer.text()
    assert.equal(answer.status, 403)
    assert.match(page, /operator_without_role/)
    assert.match(page, /staff, &lt;b&gt;interns&lt;\/b&gt;/)
    assert.ok(!elsewhere.cookies('localhost').has(SESSION))
    assert.equal((await api(site, jar, '/me')).status, 401)
    site.provider.next = { sub: 'nobody', groups: [] }
    assert.equal((await signIn(site, new CookieJar())).status, 403)
    assert.equal(expectOk(await site.server.call('GET', '/v1/operators')).length, 1)
  })

  it('two issuers with the same `sub`: the second is refused, and the actor of the first stays as it is', async () => {
    await using server = await testServer()
    const ctx = () => server.stagedoor.context({ type: 'system', id: null })
    const from = (iss: string, groups: string[], sub = 'olivia', actor_sub = 'olivia') => ({
      ...{ iss, sub, actor_sub, groups, name: iss, email: null },
      ...{ role: 'support' as const, auth_at: null, amr: [] },
    })
    const signIn = (identity: ReturnType<typeof from>) =>
      signInWithProvider(ctx(), identity, { session_id: null, is_step_up: 0 } as never)
    const first = await signIn(from('https://one.example', ['a']))
    const actor = expectOk(await server.call('GET', '/v1/actors/olivia'))
    for (const other of [from('https://two.example', ['admins']), from('https://one.example', [], 'alias')])
      await assert.rejects(signIn(other), { code: 'operator_sign_in_refused' })
    // Both at once, and neither is known.
    const race = await Promise.allSettled(
      ['https://three.example', 'https://four.example'].map(iss => signIn(from(iss, [], 'ada', 'ada'))),
    )
    assert.deepEqual(race.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.deepEqual(expectOk(await server.call('GET', '/v1/actors/olivia')), actor)
    assert.equal(expectOk(await server.call('GET', '/v1/operators')).length, 2)
    // After the first one is disabled, the second may act in this name; then the first cannot come back.
    expectOk(await server.call('POST', `/v1/operators/${first.operator.id}/disable`))
    const second = await signIn(from('https://two.example', ['a']))
    const enabled = expectOk(await server.call('POST', `/v1/operators/${first.operator.id}/enable`))
    assert.notEqual(enabled.disabled_at, null)
    assert.notEqual(second.operator.id, first.operator.id)
    assert.equal(expectOk(await server.call('GET', '/v1/actors/olivia')).disabled, true, 'until an admin enables it')
  })

  it('cancelled, and an error of the provider, are refused without a session', async () => {
    await using site = await startSite()
    const jar = new CookieJar()
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'], cancel: true }
    const answer = await signIn(site, jar)
    assert.equal(answer.status, 403)
    assert.match(await answer.text(), /it was cancelled/)
    assert.ok(!jar.cookies('localhost').has(SESSION))
  })

  it('state, code and sign-in work once, and only in the browser that began', async () => {
    await using site = await startSite()
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'] }
    const jar = new CookieJar()
    const callback = await atProvider(jar, await begin(site, jar))
    const secret = jar.cookies('localhost').get(SIGN_IN) ?? ''
    // Login CSRF: another person opens the callback of an attacker's sign-in.
    const victim = new CookieJar()
    const forced = await victim.send(callback)
    assert.deepEqual([forced.status, await codeOf(forced)], [400, 'operator_sign_in_invalid'])
    await begin(site, victim)
    const mixed = await victim.send(callback)
    assert.deepEqual([mixed.status, await codeOf(mixed)], [403, 'operator_sign_in_refused'])
    assert.ok(!victim.cookies('localhost').has(SESSION))
    assert.equal((await jar.send(callback)).status, 303)
    // Replayed, with the cookie of the sign-in and without.
    for (const cookie of [undefined, secret]) {
      if (cookie !== undefined) jar.cookies('localhost').set(SIGN_IN, cookie)
      const again = await jar.send(callback)
      assert.deepEqual([again.status, await codeOf(again)], [400, 'operator_sign_in_invalid'])
    }
    // The code in another sign-in of the same browser.
    const code = new URL(callback).searchParams.get('code') ?? ''
    const next = new URL(await atProvider(jar, await begin(site, jar)))
    next.searchParams.set('code', code)
    assert.equal((await jar.send(next.href)).status, 403)
  })

  it('another state, another issuer, and no state are refused', async () => {
    await using site = await startSite()
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'] }
    const changes: ((query: URLSearchParams) => void)[] = [
      query => query.set('state', 'A'.repeat(43)),
      query => query.delete('state'),
      query => query.set('iss', 'https://evil.example'),
      query => query.delete('iss'),
      query => query.append('code', 'another'),
      query => query.set('code', 'another'),
      query => query.delete('code'),
      query => query.set('error', 'access_denied'),
    ]
    for (const change of changes) {
      const jar = new CookieJar()
      const callback = new URL(await atProvider(jar, await begin(site, jar)))
      change(callback.searchParams)
      const answer = await jar.send(callback.href)
      assert.equal(answer.status, 403, `${change} ${await answer.text()}`)
      assert.ok(!jar.cookies('localhost').has(SESSION), `${change}`)
    }
    assert.deepEqual(expectOk(await site.server.call('GET', '/v1/operators')), [])
  })

  it('an ID token with another nonce is refused', async () => {
    await using site = await startSite()
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'] }
    const jar = new CookieJar()
    const asked = new URL(await begin(site, jar))
    asked.searchParams.set('nonce', 'another-nonce')
    const answer = await jar.send(await atProvider(jar, asked.href))
    assert.equal(answer.status, 403)
    assert.ok(!jar.cookies('localhost').has(SESSION))
  })

  it('the provider is down: 503, acting continues, and it works again as soon as it is back', async () => {
    await using site = await startSite()
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'] }
    await site.provider.stop()
    const start = () =>
      new CookieJar().send(`${site.url}/console/login`, {
        method: 'POST',
        headers: { ...FORM, origin: site.url },
        body: '',
      })
    const down = await start()
    assert.deepEqual([down.status, await codeOf(down)], [503, 'identity_provider_unavailable'])
    await site.provider.start()
    const jar = new CookieJar()
    const callback = await atProvider(jar, await begin(site, jar))
    await site.provider.stop()
    const half = await jar.send(callback)
    assert.deepEqual([half.status, await codeOf(half)], [503, 'identity_provider_unavailable'])
    await site.provider.start()
    assert.equal((await signIn(site, new CookieJar())).status, 303)
  })

  it('new keys of the provider work at once', async () => {
    await using site = await startSite()
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'] }
    assert.equal((await signIn(site, new CookieJar())).status, 303)
    await site.provider.rotate()
    const answer = await signIn(site, new CookieJar())
    assert.equal(answer.status, 303, await answer.text())
  })

  it('session fixation: the secret is new at each sign-in, and the one before ends', async () => {
    await using site = await startSite()
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'] }
    const jar = new CookieJar()
    jar.cookies('localhost').set(SESSION, 'A'.repeat(43))
    await signIn(site, jar)
    const first = jar.cookies('localhost').get(SESSION)
    assert.notEqual(first, 'A'.repeat(43))
    await signIn(site, jar)
    const second = jar.cookies('localhost').get(SESSION)
    assert.notEqual(second, first)
    assert.equal((await api(site, jar, '/me')).status, 200)
    jar.cookies('localhost').set(SESSION, first ?? '')
    assert.equal((await api(site, jar, '/me')).status, 401)
  })

  it('C16: return_to is a path of the pages of the console, or the console', async () => {
    await using site = await startSite()
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'] }
    for (const return_to of [
      'https://evil.example/',
      '//evil.example/console',
      '/\\evil.example',
      '/console\\@evil.example',
      '/console/../v1/tickets/accept?ticket=x',
      '/console/%2e%2e/v1/client',
      '/console/api/v1/users',
      '/console/logout',
      '/consolex',
      'javascript:alert(1)',
      '/console/live\r\nset-cookie: a=b',
      'console',
    ]) {
      const answer = await signIn(site, new CookieJar(), { return_to })
      assert.equal(answer.headers.get('location'), '/console', return_to)
    }
  })

  it('a disabled operator cannot sign in, and the refusal is an event', async () => {
    await using site = await startSite()
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'] }
    await signIn(site, new CookieJar())
    const [{ id }] = expectOk(await site.server.call('GET', '/v1/operators'))
    expectOk(await site.server.call('POST', `/v1/operators/${id}/disable`))
    const answer = await signIn(site, new CookieJar())
    assert.deepEqual([answer.status, await codeOf(answer)], [403, 'operator_disabled'])
    const [event] = await site.server.auditEvents({ action: 'operator.sign_in', outcome: 'refused' })
    assert.deepEqual([event?.code, event?.principal], ['operator_disabled', { type: 'operator', id }])
  })

  it('secrets reach neither the log nor the answers', async () => {
    await using site = await startSite()
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'] }
    const jar = new CookieJar()
    const callback = await atProvider(jar, await begin(site, jar))
    const changed = callback.replace(/iss=[^&]+/, 'iss=https%3A%2F%2Fevil.example')
    await jar.send(changed)
    const secrets = [new URL(callback).searchParams.get('code') ?? '', site.provider.client_secret]
    assert.ok(
      site.log.some(line => line.includes('a sign-in at the identity provider failed')),
      site.log.join(),
    )
    for (const secret of secrets) assert.ok(!site.log.join().includes(secret))
  })
})

describe('identity providers differ', () => {
  it('groups at the userinfo endpoint only, and a client secret in the body', async () => {
    await using site = await startSite({}, { userinfoOnly: true, post: true })
    site.provider.next = { sub: 'olivia', groups: ['sd-leads'] }
    const jar = new CookieJar()
    const answer = await signIn(site, jar)
    assert.equal(answer.status, 303, await answer.text())
    assert.equal((await me(site, jar)).role, 'approver')
  })

  it('a claim inside another one, and the e-mail address as actor', async () => {
    await using site = await startSite({
      STAGEDOOR_OPERATOR_ROLE_CLAIM: 'realm_access.roles',
      STAGEDOOR_OPERATOR_ACTOR_SUB: 'email',
    })
    site.provider.next = {
      sub: 'f:1:olivia',
      email: 'Olivia@Example.com',
      extra: { realm_access: { roles: ['sd-support'] } },
    }
    const jar = new CookieJar()
    await signIn(site, jar)
    const { operator, role } = await me(site, jar)
    assert.deepEqual([operator.sub, role], ['olivia@example.com', 'support'])
  })

  it('an unverified e-mail address gives no role', async () => {
    await using site = await startSite({ STAGEDOOR_OPERATOR_ACTOR_SUB: 'email' })
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'], extra: { email_verified: false } }
    assert.equal((await signIn(site, new CookieJar())).status, 403)
  })

  it('a role that is one text, not a list', async () => {
    await using site = await startSite({
      STAGEDOOR_OPERATOR_ROLE_CLAIM: 'email',
      STAGEDOOR_OPERATOR_ROLES: 'admin:olivia@example.com',
    })
    const jar = new CookieJar()
    await signIn(site, jar)
    assert.equal((await me(site, jar)).role, 'admin')
    site.provider.next = { sub: 'mallory', email: 'mallory@example.com' }
    assert.equal((await signIn(site, new CookieJar())).status, 403)
  })
})

describe('step-up with an identity provider', () => {
  const revoke = (site: Site, jar: CookieJar) =>
    api(site, jar, '/v1/sessions/revoke_all', { method: 'POST', body: '{"everything":true}' })

  it('asks for a new sign-in, and renews exactly the session that began it', async () => {
    await using site = await startSite()
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'], ago: 900 }
    const jar = new CookieJar()
    await signIn(site, jar)
    const other = new CookieJar()
    await signIn(site, other)
    assert.equal((await me(site, jar)).step_up_until, null)
    assert.equal((await revoke(site, jar)).status, 403)
    const before = jar.cookies('localhost').get(SESSION)
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'] }
    const asked = new URL(await begin(site, jar, { step_up: '1', return_to: '/console/settings' }))
    assert.deepEqual([asked.searchParams.get('prompt'), asked.searchParams.get('max_age')], ['login', '300'])
    const answer = await jar.send(await atProvider(jar, asked.href))
    assert.deepEqual([answer.status, answer.headers.get('location')], [303, '/console/settings'], await answer.text())
    assert.notEqual(jar.cookies('localhost').get(SESSION), before)
    const { step_up_until } = await me(site, jar)
    assert.ok(step_up_until > Date.now() + 200_000 && step_up_until <= Date.now() + 300_000)
    assert.equal((await revoke(site, jar)).status, 200)
    // C11: the other session has not stepped up, and the old secret is worth nothing.
    assert.equal((await revoke(site, other)).status, 403)
    jar.cookies('localhost').set(SESSION, before ?? '')
    assert.equal((await api(site, jar, '/me')).status, 401)
    const [event] = await site.server.auditEvents({ action: 'operator.step_up' })
    assert.equal(event?.outcome, 'done')
  })

  it('by another operator, with an old sign-in, or without a session is refused', async () => {
    await using site = await startSite()
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'], ago: 900 }
    const jar = new CookieJar()
    await signIn(site, jar)
    const kept = jar.cookies('localhost').get(SESSION) ?? ''
    const stepUp = async (next: TestProvider['next']) => {
      // A fresh browser at the provider, with the session of the console.
      const browser = new CookieJar()
      browser.cookies('localhost').set(SESSION, kept)
      site.provider.next = next
      return browser.send(await atProvider(browser, await begin(site, browser, { step_up: '1' })))
    }
    const somebody = await stepUp({ sub: 'somebody', groups: ['sd-admins'] })
    assert.deepEqual([somebody.status, await codeOf(somebody)], [403, 'operator_sign_in_refused'])
    const old = await stepUp({ sub: 'olivia', groups: ['sd-admins'], ago: 900 })
    assert.equal(old.status, 403)
    assert.equal((await revoke(site, jar)).status, 403)
    assert.deepEqual(
      expectOk(await site.server.call('GET', '/v1/operators')).map((each: { sub: string }) => each.sub),
      ['olivia'],
    )
    const nobody = await new CookieJar().send(`${site.url}/console/login`, {
      method: 'POST',
      headers: { ...FORM, origin: site.url },
      body: 'step_up=1',
    })
    assert.equal(nobody.status, 401)
  })

  it('does not renew a session that has ended since', async () => {
    await using site = await startSite()
    site.provider.next = { sub: 'olivia', groups: ['sd-admins'] }
    const jar = new CookieJar()
    await signIn(site, jar)
    const callback = await atProvider(jar, await begin(site, jar, { step_up: '1' }))
    const [{ id }] = expectOk(await site.server.call('GET', '/v1/operator_sessions'))
    expectOk(await site.server.call('POST', `/v1/operator_sessions/${id}/end`))
    const answer = await jar.send(callback)
    assert.deepEqual([answer.status, await codeOf(answer)], [401, 'operator_session_invalid'])
    assert.equal((await api(site, jar, '/me')).status, 401)
  })
})

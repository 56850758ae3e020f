import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Stagedoor } from '@stagedoor/sdk'
import { createVerifier, remoteJwks } from '@stagedoor/sdk/verify'
import { clerk, launchBrowser, signedIn, testApp } from './support/browser.ts'
import { noNginx, startNginx } from './support/nginx.ts'
import { freePort } from './support/ports.ts'
import { serving } from './support/serving.ts'

/** STAGEDOOR_PUBLIC_URL with a path, behind a proxy that strips it. */

const PREFIX = '/auth'

const bodyOf = async (response: Response) => {
  const text = await response.text()
  assert.equal(response.status, 200, text)
  return JSON.parse(text)
}

describe('a public URL with a path', { skip: noNginx }, () => {
  it('appears in links, issuer, forms, redirects, cookies, key set and handshake', async () => {
    const [port, appPort] = [await freePort(), await freePort()]
    const publicURL = `http://127.0.0.1:${port}${PREFIX}`
    const app = `http://127.0.0.1:${appPort}`
    const env = { STAGEDOOR_PUBLIC_URL: `${publicURL}/`, STAGEDOOR_SIGN_IN_URL: `${app}/sign-in` }
    await using server = await serving({ env })
    await using _nginx = await startNginx({ [port]: Number(new URL(server.url).port) }, '', PREFIX)

    // The SDK, through the proxy.
    const client = new Stagedoor({ serverURL: publicURL, secretKey: server.secretKey })
    const user = await client.users.create({ firstName: 'Carl' })
    const { url = '', token = '' } = await client.actorTokens.create({ userId: user.id, actor: { sub: 'olivia' } })
    assert.ok(url?.startsWith(`${publicURL}/v1/tickets/accept?ticket=`), String(url))

    // The accept page, its form and its cookie.
    const page = await fetch(url ?? '', { redirect: 'manual' })
    const html = await page.text()
    assert.equal(page.status, 200, html)
    const [, action = ''] = /<form method="post" action="([^"]+)"/.exec(html) ?? []
    assert.equal(action, `${publicURL}/v1/tickets/accept`)
    const [cookie = ''] = page.headers.getSetCookie()
    assert.match(cookie, /^__client=\S+; Path=\/auth; .*HttpOnly/)
    const headers = { cookie: cookie.split(';')[0] ?? '', origin: new URL(publicURL).origin }
    const body = new URLSearchParams({ ticket: token ?? '' })
    const confirmed = await fetch(action, { method: 'POST', redirect: 'manual', headers, body })
    assert.equal(confirmed.status, 303)
    assert.ok(confirmed.headers.get('location')?.startsWith(`${app}/sign-in?__clerk_ticket=`))

    // The Frontend API.
    const form = new URLSearchParams({ strategy: 'ticket', ticket: token ?? '' })
    const fromApp = { ...headers, origin: app }
    const signIn = await fetch(`${publicURL}/v1/client/sign_ins`, { method: 'POST', headers: fromApp, body: form })
    const { response } = await bodyOf(signIn)
    const kept = signIn.headers.getSetCookie().find(each => each.startsWith('__client='))
    assert.match(kept ?? '', /; Path=\/auth;/)
    const asClient = { ...fromApp, cookie: kept?.split(';')[0] ?? '' }
    const tokens = `${publicURL}/v1/client/sessions/${response.created_session_id}/tokens`
    const { jwt } = await bodyOf(await fetch(tokens, { method: 'POST', headers: asClient }))

    // The issuer and the key set.
    const verify = createVerifier({ issuer: publicURL, jwks: remoteJwks(publicURL) })
    const verified = await verify(jwt)
    assert.deepEqual([verified.userId, verified.claims.iss], [user.id, publicURL])

    // A page whose cookie is old.
    const query = new URLSearchParams({ redirect_url: `${app}/users`, format: 'nonce' })
    const handshake = await fetch(`${publicURL}/v1/client/handshake?${query}`, {
      redirect: 'manual',
      headers: { cookie: asClient.cookie },
    })
    assert.ok(handshake.headers.get('location')?.startsWith(`${app}/users`), handshake.headers.get('location') ?? '')
    const nonce = handshake.headers.getSetCookie().find(each => each.startsWith('__clerk_handshake_nonce='))
    assert.match(nonce ?? '', /; Path=\/;/, 'the app can read the cookie')
    assert.equal((await fetch(`${publicURL}/banner.js`)).status, 200)
    assert.equal((await fetch(`${publicURL}/healthz`)).status, 200)
  })

  it('works in a browser: after a click on the accept page, Clerk’s own SDK has the session', async () => {
    const [port, appPort] = [await freePort(), await freePort()]
    const publicURL = `http://127.0.0.1:${port}${PREFIX}`
    const env = { STAGEDOOR_PUBLIC_URL: publicURL, STAGEDOOR_SIGN_IN_URL: `http://127.0.0.1:${appPort}/sign-in` }
    await using server = await serving({ env })
    await using _nginx = await startNginx({ [port]: Number(new URL(server.url).port) }, '', PREFIX)
    await using _app = await testApp({ serverURL: publicURL, kind: 'live', port: appPort })
    const client = new Stagedoor({ serverURL: publicURL, secretKey: server.secretKey })
    const user = await client.users.create({ firstName: 'Carl' })
    const { url } = await client.actorTokens.create({ userId: user.id, actor: { sub: 'olivia' } })
    await using browser = await launchBrowser()
    const { page } = browser
    await page.goto(url ?? '')
    await page.getByRole('button', { name: 'Act as Carl' }).click()
    const { session_id, actor } = await signedIn(page, user.id)
    assert.deepEqual(actor, { sub: 'olivia' })
    const jwt: string = await clerk(page, 'session.getToken({ skipCache: true })')
    const verified = await createVerifier({ issuer: publicURL, jwks: remoteJwks(publicURL) })(jwt)
    assert.equal(verified.sessionId, session_id)
    const [cookie] = (await page.context().cookies()).filter(({ name }) => name === '__client')
    assert.equal(cookie?.path, PREFIX)
    assert.deepEqual(browser.errors, [])
  })
})

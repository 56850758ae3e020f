import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { runningClock } from './support/clock.ts'
import { CookieJar } from './support/idp.ts'
import { freePort } from './support/ports.ts'
import { startProgram } from './support/processes.ts'
import { testServer } from './support/server.ts'

/**
 * dex as the identity provider of the console: the second one, which is not written in JavaScript. `DEX` is the path of its
 * program. CONTRIBUTING.md has the steps to build it.
 */
const { DEX } = process.env

const FORM = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' }

describe('signing in with dex', { skip: DEX === undefined && 'DEX is not set' }, () => {
  it('gives the role of its groups; a person without such a group gets none', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stagedoor-dex-'))
    const [port, dexPort] = [await freePort(), await freePort()]
    const url = `http://localhost:${port}`
    const issuer = `http://127.0.0.1:${dexPort}/dex`
    const file = join(folder, 'dex.json')
    const config = {
      issuer,
      storage: { type: 'memory' },
      web: { http: `127.0.0.1:${dexPort}` },
      oauth2: { skipApprovalScreen: true },
      staticClients: [
        { id: 'stagedoor', secret: 'a secret of dex', name: 'Stagedoor', redirectURIs: [`${url}/console/callback`] },
      ],
      // It signs in the same person each time: Kilgore Trout, in the group `authors`.
      connectors: [{ type: 'mockCallback', id: 'mock', name: 'Example' }],
    }
    writeFileSync(file, JSON.stringify(config))
    const options = { url: `${issuer}/.well-known/openid-configuration`, ready: /listening on|listen/ }
    await using _dex = await startProgram(DEX ?? '', ['serve', file], options)
    for (const [roles, status] of [
      ['support:authors', 303],
      ['support:editors', 403],
    ] as const) {
      await using server = await testServer({
        clock: runningClock(),
        env: {
          STAGEDOOR_PORT: `${port}`,
          STAGEDOOR_PUBLIC_URL: `http://127.0.0.1:${port}`,
          STAGEDOOR_OPERATOR_ISSUER: issuer,
          STAGEDOOR_OPERATOR_CLIENT_ID: 'stagedoor',
          STAGEDOOR_OPERATOR_CLIENT_SECRET: 'a secret of dex',
          STAGEDOOR_OPERATOR_SCOPES: 'openid profile email groups',
          STAGEDOOR_OPERATOR_ROLES: roles,
        },
      })
      await server.listen()
      const jar = new CookieJar()
      const begun = await jar.send(`${url}/console/login`, {
        method: 'POST',
        headers: { ...FORM, origin: url },
        body: '',
      })
      const address = begun.headers.get('refresh')?.replace('0; url=', '') ?? ''
      const callback = await jar.follow(address, /\/console\/callback\?/)
      const answer = await jar.send(callback)
      assert.equal(answer.status, status, await answer.text())
      if (status !== 303) continue
      const me = await jar.send(`${url}/console/api/me`, { headers: { 'sec-fetch-site': 'same-origin' } })
      const { operator, role } = (await me.json()) as { operator: { name: string; email: string }; role: string }
      assert.deepEqual([operator.name, operator.email, role], ['Kilgore Trout', 'kilgore@kilgore.trout', 'support'])
    }
    rmSync(folder, { recursive: true, force: true })
  })
})

import assert from 'node:assert/strict'
import { createPublicKey, type JsonWebKey } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, IncomingMessage } from 'node:http'
import { type AddressInfo, Socket } from 'node:net'
import { describe, it } from 'node:test'
import { type AuthOptions, authenticate, getAuth, type TokenOptions } from '@stagedoor/sdk/express'
import { remoteJwks } from '@stagedoor/sdk/verify'
import express, { type Request } from 'express'
import { ask } from './http-apps.ts'

/** How Express's `authenticate` reads and answers single requests. */
const file = new URL('../../../test/vectors/session-cookies.json', import.meta.url)
const { issuer, jwks, now, tokens } = JSON.parse(readFileSync(file, 'utf8')) as {
  issuer: string
  jwks: NonNullable<TokenOptions['jwks']> & { keys: JsonWebKey[] }
  now: number
  tokens: Record<string, string>
}
const { own = '', acting = '', expired = '' } = tokens
const options = { issuer, jwks, now: () => now * 1_000 }
const OWN = 'user_carl'

function requestWith(headers: Record<string, string>): IncomingMessage {
  const request = new IncomingMessage(new Socket())
  request.headers = headers
  request.rawHeaders = Object.entries(headers).flat()
  return request
}

/** Calls the middleware once. `immediately` tells whether it called `next` before it returned. */
async function passed(middleware: ReturnType<typeof authenticate>, headers: Record<string, string>) {
  const request = requestWith(headers)
  let returned = false
  const { error, immediately } = await new Promise<{ error: unknown; immediately: boolean }>(resolve => {
    middleware(request, undefined as never, error => resolve({ error, immediately: !returned }))
    returned = true
  })
  return { error, immediately, auth: error === undefined ? getAuth(request) : undefined }
}

describe('authenticate', () => {
  it('waits for nothing once the key is known, from a key set, a PEM or a server', async () => {
    const [jwk = {}] = jwks.keys
    const publicKey = createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' }).toString()
    const server = createServer((_request, response) => response.end(JSON.stringify(jwks))).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const remote = remoteJwks(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    try {
      for (const keys of [{ jwks: structuredClone(jwks) }, { jwks: undefined, publicKey }, { jwks: remote }]) {
        const middleware = authenticate({ ...options, ...keys } as TokenOptions)
        for (const known of [false, true]) {
          for (const [token, reason] of [
            [own, undefined],
            [expired, 'token-expired'],
            [`${own.slice(0, -8)}AAAAAAAA`, 'token-invalid-signature'],
          ] as const) {
            const { auth, immediately } = await passed(middleware, { authorization: `Bearer ${token}` })
            assert.equal(auth?.userId, reason === undefined ? OWN : null)
            assert.equal(auth && 'reason' in auth ? auth.reason : undefined, reason)
            if (known) assert.equal(immediately, true, Object.keys(keys).join())
          }
        }
      }
    } finally {
      server.close()
      server.closeAllConnections()
    }
  })

  it('waits for keys with several cookies, and prefers the one with an actor', async () => {
    const cookie = `__session=${own}; __session=x; __session=${acting}`
    const middleware = authenticate({ ...options, jwks: structuredClone(jwks) })
    for (const known of [false, true]) {
      const { auth, immediately } = await passed(middleware, { cookie })
      assert.deepEqual([auth?.isActing, immediately], [true, known])
    }
  })

  it('passes errors of the app’s own functions to next, and nothing else', async () => {
    const fails = () => {
      throw new Error('of the app')
    }
    const cookie = `__session=${own}; __session=${acting}`
    for (const failing of [
      { ...options, now: fails },
      { ...options, jwks: structuredClone(jwks), onInvalidToken: fails },
      { session: fails },
      { session: async () => fails() },
      { session: () => ({ userId: OWN, actor: {} }) as never },
    ] as AuthOptions<IncomingMessage>[]) {
      for (const text of [`${cookie}; __session=x`, `__session=x; ${cookie}`]) {
        const { error } = await passed(authenticate(failing), { cookie: text })
        assert.match(String(error), /of the app|`session` must return/)
      }
    }
  })

  it('reads headers as earlier middlewares left them', async () => {
    const changes: Record<string, (request: Request) => void> = {
      nothing: () => {},
      removed: ({ headers }) => delete headers.authorization,
      replaced: ({ headers }) => Object.assign(headers, { authorization: `Bearer ${acting}` }),
      rawReplaced: ({ headers, rawHeaders }) => {
        headers.authorization = `Bearer ${acting}`
        for (const [i, text] of rawHeaders.entries()) {
          if (/^authorization$/i.test(text)) rawHeaders[i + 1] = headers.authorization
        }
      },
      cookieAdded: ({ headers }) => Object.assign(headers, { cookie: `__session=${acting}` }),
    }
    const app = express()
    app.use((request, _response, next) => {
      changes[request.path.slice(1)]?.(request)
      next()
    })
    app.use(authenticate(options))
    app.use((request, response) => void response.json(getAuth(request).actor !== null || getAuth(request).userId))
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const bearer = ['Authorization', `Bearer ${own}`]
    try {
      // The answer: true while acting, otherwise the user.
      for (const [path, headers, expected] of [
        ['nothing', bearer, OWN],
        ['nothing', ['AUTHORIZATION', `Bearer ${own}`], OWN],
        ['nothing', [...bearer, ...bearer], null],
        ['nothing', [...bearer, 'authorization', `Bearer ${acting}`], null],
        ['removed', bearer, null],
        ['removed', [...bearer, ...bearer], null],
        // The received header counts, as long as there still is one.
        ['replaced', bearer, OWN],
        ['replaced', [...bearer, ...bearer], null],
        ['replaced', [], true],
        ['rawReplaced', bearer, true],
        ['cookieAdded', [], true],
        ['cookieAdded', bearer, OWN],
      ] as [string, string[], unknown][]) {
        const { text } = await ask(port, `/${path}`, { headers })
        assert.deepEqual(JSON.parse(text), expected, `${path} ${headers.length}`)
      }
    } finally {
      server.close()
      server.closeAllConnections()
    }
  })
})

import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { answer } from './child.ts'

/**
 * The app that authenticate.ts measures: BENCH_APP on a free port, with the SDK in BENCH_SDK, or without one. Its handler
 * does almost nothing. It answers `cpu` with the CPU time used so far, in µs. The app `verify` only verifies tokens.
 */

const { BENCH_APP: name = '', BENCH_SDK: sdk, BENCH_ISSUER: issuer = '' } = process.env
const options = { issuer, authorizedParties: ['https://app.example.com'] }
/** The answer of the app without `authenticate`. */
const NOBODY = { userId: null, actor: { sub: 'olivia@support' } }

const found = async (file: string) => (sdk ? await import(`${sdk}/${file}.ts`) : undefined)

const apps: Record<string, () => Promise<number>> = {
  async express() {
    const sdk = await found('express')
    const app = express()
    if (sdk) app.use(sdk.authenticate(options))
    app.get('/orders', (request, response) => {
      const { userId, actor } = sdk ? sdk.getAuth(request) : NOBODY
      response.json({ userId, actor: actor?.sub })
    })
    return portOf(app.listen(0, '127.0.0.1'))
  },

  async fastify() {
    const sdk = await found('fastify')
    const app = Fastify()
    if (sdk) await app.register(sdk.authenticate, options)
    app.get('/orders', async request => {
      const { userId, actor } = sdk ? sdk.getAuth(request) : NOBODY
      return { userId, actor: actor?.sub }
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    return (app.server.address() as AddressInfo).port
  },

  async hono() {
    const sdk = await found('hono')
    const app = new Hono()
    if (sdk) app.use(sdk.authenticate(options))
    app.get('/orders', context => {
      const { userId, actor } = sdk ? sdk.getAuth(context) : NOBODY
      return context.json({ userId, actor: actor?.sub })
    })
    return portOf(serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }))
  },

  async request() {
    const sdk = await found('request')
    const find = sdk?.createAuthenticator(options)
    const handle = async (request: Request) => {
      const { userId, actor } = find ? await find(request) : NOBODY
      return Response.json({ userId, actor: actor?.sub })
    }
    return portOf(serve({ fetch: handle, port: 0, hostname: '127.0.0.1' }))
  },

  async verify() {
    const { createVerifier, remoteJwks } = await found('verify')
    verify = createVerifier({ ...options, jwks: remoteJwks(issuer) })
    return 0
  },
}

let verify: ((token: string) => Promise<unknown>) | undefined

async function portOf(server: ReturnType<typeof serve> | ReturnType<express.Express['listen']>): Promise<number> {
  if (!server.listening) await new Promise(resolve => server.once('listening', resolve))
  return (server.address() as AddressInfo).port
}

/** Verifies a token repeatedly, each time as a new string, as a request has it. */
async function verifyOften(token: string, count: number): Promise<void> {
  const bytes = Buffer.from(token)
  for (let i = 0; i < count; i++) await verify?.(bytes.toString('latin1'))
}

const port = await apps[name]?.()
answer((question: { cpu?: true; token?: string; count?: number }) => {
  const { user, system } = process.cpuUsage()
  if (question.cpu) return user + system
  return question.token ? verifyOften(question.token, question.count ?? 0) : port
})

import { once } from 'node:events'
import { type Agent, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import * as onExpress from '@stagedoor/sdk/express'
import * as onFastify from '@stagedoor/sdk/fastify'
import * as onHono from '@stagedoor/sdk/hono'
import * as onNext from '@stagedoor/sdk/next'
import * as onRequest from '@stagedoor/sdk/request'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'

/** A small app on a real server. */
export interface HttpApp extends AsyncDisposable {
  port: number
}

export type Options = onRequest.TokenOptions

/** The answer of an app: who sent the request. */
const shown = ({ userId, actor, ...auth }: onRequest.Auth) => ({
  userId,
  actor: actor?.sub ?? null,
  reason: 'reason' in auth ? auth.reason : null,
})
export type Shown = ReturnType<typeof shown>

const STREAM_PAUSE_MS = 100

/** `/current` returns who sent the request, `/stream` returns it twice with a pause, `/sensitive` is behind `forbidActing`. */
export const httpApps: Record<string, (options: Options) => Promise<HttpApp>> = {
  async express(options) {
    const app = express()
    app.use(onExpress.authenticate(options))
    app.get('/current', (request, response) => response.json(shown(onExpress.getAuth(request))))
    app.all('/sensitive', onExpress.forbidActing, (_request, response) => response.json('done'))
    app.get('/stream', async (request, response) => {
      for await (const part of parts(() => onExpress.getAuth(request))) response.write(part)
      response.end()
    })
    return started(app.listen(0, '127.0.0.1'))
  },

  async fastify(options) {
    const app = Fastify()
    await app.register(onFastify.authenticate, options)
    app.get('/current', async request => shown(onFastify.getAuth(request)))
    app.all('/sensitive', { onRequest: onFastify.forbidActing }, async () => '"done"')
    app.get('/stream', (request, reply) => reply.send(streamOf(() => onFastify.getAuth(request))))
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    return { port, [Symbol.asyncDispose]: () => app.close() }
  },

  async hono(options) {
    const app = new Hono()
    app.use(onHono.authenticate(options))
    app.get('/current', context => context.json(shown(onHono.getAuth(context))))
    app.all('/sensitive', onHono.forbidActing, context => context.json('done'))
    app.get('/stream', context => context.body(streamOf(() => onHono.getAuth(context))))
    return started(serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }))
  },

  async request(options) {
    const authenticate = onRequest.createAuthenticator(options)
    return served(async request => {
      const auth = await authenticate(request)
      const { pathname } = new URL(request.url)
      if (pathname === '/stream') return new Response(streamOf(() => auth))
      if (pathname === '/sensitive') return onRequest.forbidActing(auth, request) ?? Response.json('done')
      return Response.json(shown(auth))
    })
  },

  /** Calls the route handlers directly; test/example-next.test.ts uses a real Next.js. */
  async next(options) {
    const { forbidActing } = onNext.authenticate(options)
    const find = onRequest.createAuthenticator(options)
    const sensitive = forbidActing(async (_request: Request) => Response.json('done'))
    return served(async request => {
      const { pathname } = new URL(request.url)
      if (pathname === '/sensitive') return sensitive(request)
      const auth = await find(request)
      return pathname === '/stream' ? new Response(streamOf(() => auth)) : Response.json(shown(auth))
    })
  },
}

async function* parts(auth: () => onRequest.Auth): AsyncGenerator<Uint8Array> {
  for (let part = 0; part < 2; part++) {
    yield new TextEncoder().encode(`${JSON.stringify(shown(auth()))}\n`)
    await new Promise(resolve => setTimeout(resolve, STREAM_PAUSE_MS))
  }
}

const streamOf = (auth: () => onRequest.Auth) => ReadableStream.from(parts(auth)) as ReadableStream<Uint8Array>

const served = (handle: (request: Request) => Promise<Response>) =>
  started(serve({ fetch: handle, port: 0, hostname: '127.0.0.1' }))

async function started(server: ReturnType<typeof serve> | ReturnType<express.Express['listen']>): Promise<HttpApp> {
  if (!server.listening) await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.close()
      if ('closeAllConnections' in server) server.closeAllConnections()
    },
  }
}

export interface Asked {
  method?: string
  /** Header names and values in turn; a name may be repeated. */
  headers?: readonly string[]
  body?: string
  agent?: Agent
  /** Called with each part of the answer as it arrives. */
  onPart?: (text: string) => void
}

/** Sends one request, byte for byte. */
export async function ask(
  port: number,
  path: string,
  { method = 'GET', headers = [], body = '', agent, onPart }: Asked = {},
): Promise<{ status: number; text: string }> {
  const given = ['host', `127.0.0.1:${port}`, 'content-length', `${Buffer.byteLength(body)}`, ...headers]
  const request = send({ host: '127.0.0.1', port, path, method, headers: given, ...(agent ? { agent } : {}) })
  request.end(body)
  const [response] = await once(request, 'response')
  let text = ''
  for await (const part of response.setEncoding('utf8')) {
    text += part
    onPart?.(part)
  }
  return { status: response.statusCode, text }
}

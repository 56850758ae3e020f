/**
 * The same small app on each of Clerk's server SDKs, unmodified: `node sdk-apps.ts express 3000`.
 * It is configured by its environment alone. docs/guides/clerk.md quotes lines of this file.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as clerkExpress from '@clerk/express'
import * as clerkFastify from '@clerk/fastify'
import * as clerkHono from '@clerk/hono'
import { serve } from '@hono/node-server'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'

/** The address of the app. */
interface Place {
  host: string
  port: number
}

const { CLERK_API_URL: apiUrl = '', CLERK_PROXY_URL: proxyUrl = '' } = process.env
/** Clerk's own proxy: the app serves the Frontend API under /__clerk, on its own origin. */
const proxied = process.env.APP_PROXY === '1'
const frontendApiProxy = { enabled: true }

const apps: Record<string, (place: Place) => unknown> = {
  express({ host, port }) {
    const { clerkMiddleware, getAuth } = clerkExpress
    const app = express()
    if (proxied) app.use(clerkMiddleware({ frontendApiProxy }))
    else app.use(clerkMiddleware())
    app.get('/api/me', (request, response) => {
      const auth = getAuth(request)
      response.status(auth.userId ? 200 : 401).json(shown(auth))
    })
    app.get('/sign-in{/*step}', (_request, response) => response.type('html').send(signInPage))
    app.get('/clerk/:name/:file', ({ params }, response) => {
      response.type('text/javascript').send(build(params.name, params.file))
    })
    app.get('/', (request, response) => {
      const auth = getAuth(request)
      response
        .status(auth.userId ? 200 : 401)
        .type('html')
        .send(protectedPage(auth))
    })
    return app.listen(port, host, () => console.log('listening'))
  },

  async fastify({ host, port }) {
    const { clerkPlugin, getAuth } = clerkFastify
    const app = Fastify()
    if (proxied) {
      await app.register(clerkPlugin, { apiUrl, frontendApiProxy })
    } else if (process.env.APP_FORGETS === 'apiUrl') {
      await app.register(clerkPlugin, { proxyUrl })
    } else {
      await app.register(clerkPlugin, { apiUrl, proxyUrl })
    }
    app.get('/api/me', (request, reply) => {
      const auth = getAuth(request)
      reply.code(auth.userId ? 200 : 401).send(shown(auth))
    })
    for (const path of ['/sign-in', '/sign-in/*'])
      app.get(path, (_request, reply) => reply.type('text/html').send(signInPage))
    app.get<{ Params: Build }>('/clerk/:name/:file', ({ params }, reply) =>
      reply.type('text/javascript').send(build(params.name, params.file)),
    )
    app.get('/', (request, reply) => {
      const auth = getAuth(request)
      reply
        .code(auth.userId ? 200 : 401)
        .type('text/html')
        .send(protectedPage(auth))
    })
    await app.listen({ port, host })
    console.log('listening')
  },

  hono({ host, port }) {
    const { clerkMiddleware, getAuth } = clerkHono
    const app = new Hono()
    if (proxied) app.use(clerkMiddleware({ frontendApiProxy }))
    else app.use(clerkMiddleware({ proxyUrl }))
    app.get('/api/me', context => {
      const auth = getAuth(context)
      return context.json(shown(auth), auth.userId ? 200 : 401)
    })
    for (const path of ['/sign-in', '/sign-in/*']) app.get(path, context => context.html(signInPage))
    app.get('/clerk/:name/:file', context =>
      context.body(build(context.req.param('name'), context.req.param('file')), 200, {
        'content-type': 'text/javascript',
      }),
    )
    app.get('/', context => {
      const auth = getAuth(context)
      return context.html(protectedPage(auth), auth.userId ? 200 : 401)
    })
    return serve({ fetch: app.fetch, port, hostname: host }, () => console.log('listening'))
  },
}

interface Auth {
  userId: string | null
  sessionId?: string | null
  actor?: unknown
}

const shown = ({ userId, sessionId = null, actor = null }: Auth) => ({ userId, sessionId, actor })

/** A page without clerk-js: the server has worked out everything that it shows. */
const protectedPage = (auth: Auth) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>App</title>
<link rel="icon" href="data:,">
<pre>${JSON.stringify(shown(auth)).replaceAll('<', '\\u003c')}</pre>
`

const signInPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Sign in</title>
<link rel="icon" href="data:,">
<div id="sign-in"></div>
<script src="/clerk/ui/ui.browser.js"></script>
<script src="/clerk/clerk-js/clerk.browser.js" data-clerk-publishable-key="${process.env.CLERK_PUBLISHABLE_KEY}" data-clerk-proxy-url="${proxied ? '/__clerk' : proxyUrl}"></script>
<script type="module">
  const { Clerk } = window
  await Clerk.load({ ui: { ClerkUI: window.__internal_ClerkUICtor }, signInUrl: '/sign-in' })
  if (!location.search.includes('stay')) Clerk.mountSignIn(document.getElementById('sign-in'))
</script>
`

interface Build {
  name: string
  file: string
}

/** A file of Clerk's browser builds, unchanged from npm. */
function build(name: string, file: string): string {
  if (!/^(clerk-js|ui)$/.test(name) || !/^[\w-][\w.-]*\.js$/.test(file)) throw new Error(`there is no ${name}/${file}`)
  return readFileSync(fileURLToPath(new URL(`../node_modules/@clerk/${name}/dist/${file}`, import.meta.url)), 'utf8')
}

const [sdk = '', port = '0', host = '127.0.0.1'] = process.argv.slice(2)
await apps[sdk]?.({ host, port: Number(port) })

/** A small app with the banner in its pages, for tests in a real browser. */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'

const bundle = fileURLToPath(new URL('../packages/sdk/src/banner/bundle.js', import.meta.url))

/** The banner as browsers load it. */
export const bannerJs = readFileSync(bundle, 'utf8')

/** The strictest policy under which a page can load the banner, request its status and send its form. */
export const STRICT =
  "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; require-trusted-types-for 'script'"

export const OLIVIA = { sub: 'olivia@support', name: 'Olivia Park', email: 'olivia@example.com' }
export const ROBOT = { sub: 'agent_7', name: 'Refund helper', type: 'agent' }

/** Attributes of a banner; objects are written as JSON. */
export type Attributes = Record<string, string | number | object>

export const ACTING: Attributes = { session: 'sess_1', actor: OLIVIA, user: 'carl@example.com', reason: 'Ticket 1234' }

export interface BannerApp extends AsyncDisposable {
  url: string
  /** The requests to the app's server, except for pages. */
  requests: { method: string; path: string; cookie: string; body: string }[]
  /** Its answers, by path. */
  answers: Record<string, { status?: number; type?: string; body?: string; location?: string; delay?: number }>
  /** The page at a path, built from its query. */
  pages: Record<string, (query: URLSearchParams) => string>
}

export async function bannerApp(policy = STRICT): Promise<BannerApp> {
  const app: Omit<BannerApp, 'url' | keyof AsyncDisposable> = { requests: [], answers: {}, pages: {} }
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://app')
    if (pathname === '/banner.js') {
      response.setHeader('content-type', 'text/javascript').end(bannerJs)
      return
    }
    const page = app.pages[pathname]
    if (page && request.method === 'GET') {
      response.setHeader('content-security-policy', searchParams.get('policy') ?? policy)
      response.setHeader('content-type', 'text/html; charset=utf-8').end(page(searchParams))
      return
    }
    const { method = '', headers } = request
    app.requests.push({ method, path: pathname, cookie: headers.cookie ?? '', body: await bodyOf(request) })
    const {
      status = 200,
      type = 'application/json',
      body = '',
      location,
      delay = 0,
    } = app.answers[pathname] ?? { status: 404 }
    response.setHeader('content-type', type)
    setTimeout(() => response.writeHead(status, location ? { location } : {}).end(body), delay)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(app, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  })
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request) body += chunk
  return body
}

/** An HTML page that starts with a banner. */
export function pageWith(attributes: Attributes, { body = '<h1>Orders</h1>', inside = '' } = {}): string {
  const written = Object.entries(attributes).map(([name, value]) => {
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
    return `${name}="${text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')}"`
  })
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Orders</title>
<script type="module" src="/banner.js"></script>
<body>
<stagedoor-banner ${written.join(' ')}>${inside}</stagedoor-banner>
<main>${body}</main>
`
}

export const inMinutes = (minutes: number): number => Date.now() + minutes * 60_000

/** Waits for the banner and returns its region. */
export async function shown(page: Page) {
  const region = page.getByRole('region', { name: 'Acting as another user' })
  await region.waitFor()
  return region
}

/** Returns the element at the middle of the Leave button: the banner, or an element that covers it. */
export function underLeave(page: Page): Promise<string | undefined> {
  return page.evaluate(() => {
    const banner = document.querySelector('stagedoor-banner') ?? undefined
    const box = banner?.shadowRoot?.querySelector('form button')?.getBoundingClientRect()
    const hit = box && document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)
    return hit?.localName
  })
}

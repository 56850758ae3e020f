/** A real browser and a small app with Clerk's own browser builds, unmodified, for tests that need both. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { after } from 'node:test'
import { type Browser as Chromium, type Page, chromium as playwright } from 'playwright-core'
import { close, listen } from './ports.ts'
import { patience } from './time.ts'

/** A page of a browser with a fresh profile, and the errors on it. */
export interface Browser extends AsyncDisposable {
  page: Page
  /** Uncaught exceptions, and messages logged as errors. */
  errors: string[]
}

const SWITCHES = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
  // No requests to other machines: Clerk’s components ask img.clerk.com and others for pictures.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost',
]

/** Opens a page in a Chromium without a debugger: with one, it prerenders nothing. */
export function openUnwatched(url: string): AsyncDisposable {
  const profile = mkdtempSync(join(tmpdir(), 'stagedoor-browser-'))
  const child = spawn(chromium(), ['--headless=new', ...SWITCHES, `--user-data-dir=${profile}`, url], {
    stdio: 'ignore',
  })
  return {
    async [Symbol.asyncDispose]() {
      const gone = new Promise(resolve => child.once('exit', resolve))
      child.kill()
      await gone
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
    },
  }
}

/** Found or installed by scripts/setup.mjs. */
function chromium(): string {
  const path = process.env.CHROMIUM
  if (path === undefined) throw new Error('CHROMIUM is not set: run the tests with `npm test`.')
  return path
}

let running: Promise<Chromium> | undefined

// It belongs to the whole file: starting it takes longer than most tests.
after(async () => (await running)?.close())

/** Opens a page with a profile of its own, in a Chromium that all tests of this process share. */
export async function launchBrowser(options: { javaScriptEnabled?: boolean; locale?: string } = {}): Promise<Browser> {
  running ??= playwright.launch({ executablePath: chromium(), headless: true, args: SWITCHES })
  const context = await (await running).newContext(options)
  const page = await context.newPage()
  page.setDefaultTimeout(patience(15_000))
  const errors: string[] = []
  page.on('pageerror', error => errors.push(String(error)))
  page.on('console', message => message.type() === 'error' && errors.push(message.text()))
  return {
    page,
    errors,
    async [Symbol.asyncDispose]() {
      await context.close()
    },
  }
}

export interface TestApp extends AsyncDisposable {
  url: string
}

/**
 * An app with one page: every path shows who is signed in, and `/sign-in` also has `<SignIn/>`. The server serves Clerk's builds.
 * @param serverURL the Stagedoor server; `kind` is the kind of the app's publishable key; `inside` is inserted
 *   at the top of every page, and `scripts` are served by their paths
 */
export async function testApp(options: {
  serverURL: string
  kind: 'test' | 'live'
  port?: number
  inside?: string
  scripts?: Record<string, string>
}): Promise<TestApp> {
  const html = page(publishableKey(options.serverURL, options.kind), options.serverURL, options.inside ?? '')
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://app')
    const script = options.scripts?.[pathname]
    if (script !== undefined) {
      response.setHeader('content-type', 'text/javascript').end(script)
    } else if (extname(pathname) === '') {
      response.setHeader('content-type', 'text/html; charset=utf-8').end(html)
    } else {
      response.writeHead(404).end()
    }
  })
  const port = await listen(server, options.port ?? 0)
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => close(server) }
}

/** Returns the publishable key that encodes the address of the Frontend API, as Clerk's do. */
export function publishableKey(serverURL: string, kind: 'test' | 'live'): string {
  return `pk_${kind}_${Buffer.from(`${new URL(serverURL).host}$`)
    .toString('base64')
    .replace(/=+$/, '')}`
}

const page = (key: string, serverURL: string, inside: string) => `<!doctype html>
<html lang="en">
<title>App</title>
<link rel="icon" href="data:,">
${inside}
<main data-status="loading">
  <p id="user"></p>
  <p id="session"></p>
  <p id="actor"></p>
  <div id="sign-in"></div>
</main>
<script src="${serverURL}/npm/@clerk/ui@1/dist/ui.browser.js" crossorigin="anonymous"></script>
<script src="${serverURL}/npm/@clerk/clerk-js@6/dist/clerk.browser.js" crossorigin="anonymous" data-clerk-publishable-key="${key}" data-clerk-proxy-url="${serverURL}"></script>
<script type="module">
  const { Clerk } = window
  const show = (id, text) => { document.getElementById(id).textContent = text ?? '' }
  await Clerk.load({ ui: { ClerkUI: window.__internal_ClerkUICtor }, signInUrl: '/sign-in', afterMultiSessionSingleSignOutUrl: '/left' })
  Clerk.addListener(({ user, session }) => {
    show('user', user?.id)
    show('session', session?.id)
    show('actor', session && JSON.stringify(session.actor))
    document.querySelector('main').dataset.status = session ? 'signed-in' : 'signed-out'
  })
  if (location.pathname.startsWith('/sign-in')) Clerk.mountSignIn(document.getElementById('sign-in'))
</script>
`

/** Returns who the page shows as signed in. */
export interface Shown {
  user_id: string
  session_id: string
  actor: unknown
}

/** Waits until the page, any page of the app but `/sign-in`, shows the user signed in. */
export async function signedIn(page: Page, user_id: string): Promise<Shown> {
  await page.waitForURL(url => !url.pathname.startsWith('/sign-in') && !url.pathname.startsWith('/v1/'))
  await page.locator('main[data-status=signed-in] #user', { hasText: user_id }).waitFor()
  return {
    user_id,
    session_id: await page.locator('#session').innerText(),
    actor: JSON.parse(await page.locator('#actor').innerText()),
  }
}

/** Waits until the page shows that no user is signed in. */
export async function signedOut(page: Page): Promise<void> {
  await page.locator('main[data-status=signed-out]').waitFor({ state: 'attached' })
}

/** Evaluates an expression on Clerk’s global object in the page: `clerk(page, 'session.getToken()')`. */
// biome-ignore lint/suspicious/noExplicitAny: any answer of clerk-js
export function clerk(page: Page, expression: string): Promise<any> {
  return page.evaluate(`window.Clerk.${expression}`)
}

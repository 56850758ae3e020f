/** A real server and an app that know each other's address, for tests that need both. */
import { fileURLToPath } from 'node:url'
import { publishableKey, type TestApp, testApp } from './browser.ts'
import { startNginx } from './nginx.ts'
import { freePort } from './ports.ts'
import { SECRET_KEY, startServer, type TestServer, type TestServerOptions } from './server.ts'

/** The folder from which the server finds Clerk's browser builds. */
const PACKAGES = fileURLToPath(new URL('..', import.meta.url))

/** What an app has to know before it starts. */
export interface Place {
  /** The address of the server. */
  serverURL: string
  secretKey: string
  /** The publishable key that `stagedoor dev` prints, which names the server. */
  publishableKey: string
  /** The address of the app itself. */
  url: string
  /** The port to listen on. */
  port: number
}

export interface Site<App> extends AsyncDisposable {
  server: TestServer
  serverURL: string
  app: App
  /** The requests that nginx has logged, if it is in front. */
  accessLog(): string
}

export interface SiteOptions extends TestServerOptions {
  /** The path of the app's sign-in page. */
  signInPath?: string
  /** The kind of the publishable key. */
  kind?: 'test' | 'live'
  /** `localhost` makes the app another site than the server's for a browser. */
  appHost?: string
  /** The settings of an nginx in front of the server and the app; no nginx by default. */
  nginx?: string
}

/**
 * Starts a server, then an app, each on a free port. The server knows the app's sign-in page, and the app gets the server's
 * address and keys. Disposing the site stops everything.
 * @param start starts the app on the port that it gets
 * @example
 * await using site = await startSite(({ url, port, serverURL }) =>
 *   startApp(['app.js'], { url, env: { PORT: `${port}`, STAGEDOOR_SERVER_URL: serverURL }, ready: /listening/ }))
 * await page.goto(site.app.url)
 */
export async function startSite<App extends AsyncDisposable>(
  start: (place: Place) => Promise<App>,
  options: SiteOptions = {},
): Promise<Site<App>> {
  const { signInPath = '/sign-in', kind = 'test', appHost = '127.0.0.1', nginx: settings, env = {}, ...more } = options
  const stack = new AsyncDisposableStack()
  try {
    const port = await freePort()
    // The addresses that browsers see: nginx's if there is one.
    const shownPort = settings === undefined ? port : await freePort()
    const shownServerPort = settings === undefined ? undefined : await freePort()
    const url = `http://${appHost}:${shownPort}`
    const publicURL =
      shownServerPort === undefined ? {} : { STAGEDOOR_PUBLIC_URL: `http://127.0.0.1:${shownServerPort}` }
    const server = stack.use(
      await startServer({ ...more, env: { STAGEDOOR_SIGN_IN_URL: `${url}${signInPath}`, ...publicURL, ...env } }),
    )
    const serverURL = publicURL.STAGEDOOR_PUBLIC_URL ?? server.url
    const key = publishableKey(serverURL, kind)
    const app = stack.use(await start({ serverURL, secretKey: SECRET_KEY, publishableKey: key, url, port }))
    const nginx =
      shownServerPort === undefined
        ? undefined
        : stack.use(
            await startNginx({ [shownServerPort]: Number(new URL(server.url).port), [shownPort]: port }, settings),
          )
    const all = stack.move()
    return {
      server,
      serverURL,
      app,
      accessLog: () => nginx?.accessLog() ?? '',
      [Symbol.asyncDispose]: () => all.disposeAsync(),
    }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

/**
 * Starts a site whose app is `testApp`: one page with Clerk's own browser builds, which the server serves.
 * @param page what is inserted into the page, and the scripts that the app serves
 * @example
 * await using site = await startClerkSite({ kind: 'live' })
 * await browser.page.goto((await site.server.createActorToken()).url)
 */
export function startClerkSite(
  { env = {}, ...options }: SiteOptions = {},
  page: { inside?: string; scripts?: Record<string, string> } = {},
): Promise<Site<TestApp>> {
  return startSite(({ serverURL, port }) => testApp({ serverURL, kind: options.kind ?? 'test', port, ...page }), {
    ...options,
    env: { STAGEDOOR_PACKAGES_DIRECTORY: PACKAGES, ...env },
  })
}

import { createServer } from 'node:net'
import { Stagedoor as Client, StagedoorError } from '@stagedoor/sdk'
import type { User } from '@stagedoor/sdk/models/components'
import { verifySessionToken } from '@stagedoor/sdk/verify'
import type { Command } from 'commander'
import { loadConfig } from '../config.ts'
import { hasConsole } from '../config-rules.ts'
import { announceDevServer, commandLine, DEV_DIRECTORY, devEnvironment, runningDevServer } from './environment.ts'
import { print, printMessage, time, UsageError } from './output.ts'
import { stopOnSignal } from './serving.ts'

/** Number of ports to try after the requested one. */
const MORE_PORTS = 20

export function addDev(program: Command): void {
  program
    .command('dev')
    .description(
      'start a development server; on the first start in a folder it creates sample users and shows the main job',
    )
    .option('--demo', 'show the main job again')
    .option('--once', 'show the main job and exit')
    .option('--port <port>', 'port to listen on (default 4100, or STAGEDOOR_PORT)', port)
    .addHelpText('after', `\nStores its database and its secrets in ./${DEV_DIRECTORY}. Listens on 127.0.0.1 only.`)
    .action(async (options: { demo?: boolean; once?: boolean; port?: string }) => {
      const running = runningDevServer()
      if (running)
        throw new UsageError(
          `The development server of this folder is already running at ${running.url} (process ${running.pid}). Use it, or stop it first.`,
        )
      const own = { ...process.env, ...(options.port ? { STAGEDOOR_PORT: options.port } : {}) }
      const env = { STAGEDOOR_LOG_LEVEL: 'warn', ...devEnvironment(), ...own }
      const wanted = loadConfig(env)
      const port = await freePort(wanted.host, wanted.port)
      if (port !== wanted.port && wanted.port !== 0)
        printMessage(`Port ${wanted.port} is taken, by another server or another \`npm start\`; using ${port}.`)
      const serverURL = wanted.public_url ?? `http://${wanted.host}:${port}`
      const complete = { ...env, STAGEDOOR_PORT: String(port), STAGEDOOR_PUBLIC_URL: serverURL }
      const filledIn = Object.keys(complete).filter(name => !(name in own))
      const config = loadConfig(complete, filledIn)
      const [{ createStagedoor }, { pino }] = await Promise.all([import('../server.ts'), import('pino')])
      const stagedoor = await createStagedoor(config, { log: pino({ level: config.log_level }) })
      let withdraw = () => {}
      try {
        await stagedoor.listen()
        const here = `http://${config.host}:${port}`
        const secretKey = config.secret_key ?? ''
        print(`\nStagedoor is up: ${here}\n`)
        withdraw = announceDevServer(here)
        const client = new Client({ secretKey, serverURL: here })
        if (options.demo || options.once || (await isFirstTime(client))) await mainJob(client, here, serverURL)
        else print('The main job was shown here before. `--demo` shows it again.\n')
        await printAddresses(here, serverURL, secretKey, config.sign_in_url)
        if (options.once) return
        if (hasConsole(config)) {
          const { developmentLink } = await import('../domain/operators.ts')
          print('The console for operators. This link opens it, signed in as an admin, once:')
          print(`  ${await developmentLink(stagedoor.context(commandLine()))}\n`)
        }
        print('Serving. Ctrl+C stops it; data is kept.')
        await stopOnSignal()
        print('\nStopped.')
      } finally {
        withdraw()
        await stagedoor.close()
      }
    })
}

function port(text: string): string {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535)
    throw new UsageError(`--port: “${text}” is not a port. Give a number from 0 to 65535.`)
  return text
}

/** Whether the sample users do not exist yet. */
async function isFirstTime(client: Client): Promise<boolean> {
  return (await client.users.list({ externalId: [SAMPLE_OPERATOR], limit: 1 })).data.length === 0
}

const SAMPLE_OPERATOR = 'sample_operator'

/** Shows the lifecycle of an actor token against the running server, in about a dozen lines. */
async function mainJob(client: Client, here: string, issuer: string): Promise<void> {
  const operator = await sampleUser(client, {
    externalId: SAMPLE_OPERATOR,
    firstName: 'Olivia',
    lastName: 'Operator',
    emailAddress: ['olivia@support.example'],
  })
  const customer = await sampleUser(client, {
    externalId: 'sample_customer',
    firstName: 'Carl',
    lastName: 'Customer',
    emailAddress: ['carl@customer.example'],
  })
  print('The main job, once, against this server:')
  step('users', `${operator.firstName} (support) acts as ${customer.firstName} (customer), ${customer.id}`)

  const token = await client.actorTokens.create({
    userId: customer.id,
    actor: { sub: operator.id, name: 'Olivia Operator' },
    reason: 'Looking into the sample ticket',
  })
  step('created', `${token.id}, to be redeemed once within the hour`)

  const opened = await fetch(token.url ?? '', { redirect: 'manual' })
  step(
    'opened',
    `GET …/v1/tickets/accept: ${opened.status}, a page that asks for confirmation; the token is still unused`,
  )

  const redeem = () =>
    fetch(`${here}/v1/client/sign_ins`, {
      method: 'POST',
      body: new URLSearchParams({ strategy: 'ticket', ticket: token.token ?? '' }),
    })
  const first = await redeem()
  const { response } = (await first.json()) as { response: { created_session_id: string } }
  const session = await client.sessions.get(response.created_session_id)
  step('redeemed', `${session.id}, ends at ${time(session.expireAt)} at the latest`)
  const { errors } = (await (await redeem()).json()) as { errors: { code: string }[] }
  step('again', `refused: ${errors[0]?.code}`)

  const { jwt } = await client.sessions.getToken(session.id)
  const claims = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
  step('minted', 'a session token, valid for 60 s, with the claims')
  for (const claim of ['sub', 'act', 'sid', 'iss']) step('', `  ${claim}  ${JSON.stringify(claims[claim])}`)

  const { userId, actor } = await verifySessionToken(jwt, { issuer, jwks: await client.jwks.get() })
  step('verified', `without network: user ${userId}, really acting: ${String(actor?.sub)}`)

  await client.sessions.revoke(session.id, { reason: 'The sample has ended' })
  const refusal = await client.sessions.getToken(session.id).catch(error => error)
  step(
    'revoked',
    `the session; minting the next token is refused: ${refusal instanceof StagedoorError ? refusal.code : 'NOT REFUSED'}`,
  )

  const events = await client.auditEvents.list({ actorTokenId: token.id, limit: 100 })
  step(
    'recorded',
    `${events.data.length} audit events: ${events.data
      .map(event => event.action + (event.outcome === 'refused' ? ' (refused)' : ''))
      .reverse()
      .join(', ')}\n`,
  )
}

async function sampleUser(
  client: Client,
  fields: { externalId: string; firstName: string; lastName: string; emailAddress: string[] },
): Promise<User> {
  const known = await client.users.list({ externalId: [fields.externalId] })
  return known.data[0] ?? (await client.users.create(fields))
}

function step(what: string, text: string): void {
  print(`  ${what.padEnd(9)} ${text}`)
}

async function printAddresses(here: string, publicURL: string, secretKey: string, signInURL: string): Promise<void> {
  print(`Backend API       ${here}/v1            docs/reference/api.md`)
  print(`Public keys       ${here}/.well-known/jwks.json`)
  print(`Tickets are sent  to ${signInURL}     STAGEDOOR_SIGN_IN_URL changes it`)
  print(`Kept in           ./${DEV_DIRECTORY}`)
  print('\nFor an app with @stagedoor/sdk, or the commands of `stagedoor`:')
  print(`  STAGEDOOR_SERVER_URL=${here}\n  STAGEDOOR_SECRET_KEY=${secretKey}`)
  print('For an app with Clerk’s SDKs, as docs/guides/clerk.md says:')
  print(await clerkSettings(here, publicURL, secretKey))
}

/** Returns the settings for Clerk's SDKs. docs/guides/clerk.md explains them; test/server-sdks.test.ts runs them. */
async function clerkSettings(here: string, publicURL: string, secretKey: string): Promise<string> {
  const { publishableKeys } = await import('../domain/handshakes.ts')
  const [key] = publishableKeys(publicURL, 'test')
  const builds = {
    js: `${publicURL}/npm/@clerk/clerk-js@6/dist/clerk.browser.js`,
    ui: `${publicURL}/npm/@clerk/ui@1/dist/ui.browser.js`,
  }
  return `  # Every server. Express reads all of them automatically
  CLERK_API_URL=${here}
  CLERK_SECRET_KEY=${secretKey}
  CLERK_PUBLISHABLE_KEY=${key}
  CLERK_PROXY_URL=${publicURL}
  CLERK_TELEMETRY_DISABLED=1
  # Fastify  clerkPlugin, { apiUrl: process.env.CLERK_API_URL, proxyUrl: process.env.CLERK_PROXY_URL }
  # Hono     clerkMiddleware({ proxyUrl: process.env.CLERK_PROXY_URL })
  # Next.js, additionally
  NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY=${key}
  NEXT_PUBLIC_CLERK_PROXY_URL=${publicURL}
  NEXT_PUBLIC_CLERK_JS_URL=${builds.js}
  NEXT_PUBLIC_CLERK_UI_URL=${builds.ui}
  NEXT_PUBLIC_CLERK_TELEMETRY_DISABLED=1
  # A page of your own
  <script src="${builds.ui}"></script>
  <script src="${builds.js}" data-clerk-publishable-key="${key}" data-clerk-proxy-url="${publicURL}"></script>
`
}

/** Returns the requested port, or the next free one. */
async function freePort(host: string, wanted: number): Promise<number> {
  for (let port = wanted; port <= Math.min(wanted + MORE_PORTS, 65_535); port++) {
    const free = await tryPort(host, port)
    if (free !== undefined) return free
  }
  throw new Error(`No port from ${wanted} to ${wanted + MORE_PORTS} is free on ${host}. Use --port to set another one.`)
}

function tryPort(host: string, port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(undefined)
      else reject(error)
    })
    probe.listen(port, host, () => {
      const { port: free } = probe.address() as { port: number }
      probe.close(() => resolve(free))
    })
  })
}

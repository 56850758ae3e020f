/**
 * Serves the built console in front of a development server, with a fixed operator who needs no sign-in. For work on the
 * console and for its tests: it has no guard.
 *
 *     STAGEDOOR_SERVER_URL=… STAGEDOOR_SECRET_KEY=… node packages/console/dev/serve.ts
 */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bapi } from '../../server/src/contract/bapi.ts'
import type { Role } from '../../server/src/contract/operation.ts'
import { standIns } from './stand-ins.ts'

const BUILD = fileURLToPath(new URL('../../server/console', import.meta.url))

/** The headers of the console, as docs/decisions/0027 lists them. */
export const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
}

const TYPES: Record<string, string> = { '.js': 'text/javascript', '.css': 'text/css' }

export interface ConsoleOptions {
  serverURL: string
  secretKey: string
  /** The folder of the build. Default: `packages/server/console`. */
  build?: string
  port?: number
  role?: Role
  /** More settings of `GET /console/api/me`. */
  settings?: object
}

export interface RunningConsole extends AsyncDisposable {
  url: string
  /** The `sub` of the operator. */
  operatorSub: string
}

/** Calls the Backend API with the secret key. */
export type Call = <T>(method: string, path: string, body?: unknown) => Promise<{ status: number; body: T }>

const OPERATOR = { id: 'opr_dev', name: 'Olivia Park', email: 'olivia@support.example', sub: 'olivia@support.example' }

/** Starts the console on 127.0.0.1, on a free port by default. */
export async function startConsole(options: ConsoleOptions): Promise<RunningConsole> {
  const call: Call = async (method, path, body) => {
    const answer = await fetch(`${options.serverURL}${path}`, {
      method,
      headers: { authorization: `Bearer ${options.secretKey}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) }
  }
  const answers = standIns(call, OPERATOR)
  const server = createServer((request, response) => {
    respond(request, response).catch(error => {
      if (!response.headersSent) json(response, 500, { errors: [{ code: 'dev_server', message: String(error) }] })
    })
  })
  const respond = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '/', 'http://console')
    const { pathname } = url
    if (pathname.startsWith('/console/assets/')) return sendFile(response, pathname.slice('/console/'.length))
    if (!/^\/console\/(api|login|logout|callback|passkey)\b/.test(pathname)) return sendFile(response, 'index.html')
    const body = await bodyOf(request)
    if (pathname === '/console/api/me') return json(response, 200, meOf(options))
    if (pathname === '/console/logout') return json(response, 200, {})
    if (!pathname.startsWith('/console/api/v1/')) return json(response, 404, notFound)
    const path = `${pathname.slice('/console/api'.length)}${url.search}`
    const method = request.method ?? 'GET'
    if (await answers(method, path, body, response)) return
    const answer = await call(method, path, namedActor(path, body))
    json(response, answer.status, answer.body)
  }
  const sendFile = (response: ServerResponse, name: string) => {
    const content = readBuilt(options.build ?? BUILD, name)
    if (content === undefined) return response.writeHead(404).end()
    const type = TYPES[extname(name)] ?? 'text/html; charset=utf-8'
    response.writeHead(200, { ...HEADERS, 'content-type': type, 'cache-control': 'no-store' }).end(content)
  }
  await new Promise<void>(resolve => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/console`,
    operatorSub: OPERATOR.sub,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

const notFound = { errors: [{ code: 'resource_not_found', message: 'not found', long_message: 'Not found.' }] }

function readBuilt(folder: string, name: string): Buffer | undefined {
  try {
    return readFileSync(join(folder, name))
  } catch {
    return undefined
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return parts.length === 0 ? undefined : JSON.parse(Buffer.concat(parts).toString())
}

/** Sets the operator as the actor, as the real server does. */
function namedActor(path: string, body: unknown): unknown {
  if (!/^\/v1\/(actor_tokens|policy\/explain)$/.test(path) || typeof body !== 'object' || body === null) return body
  const { return_url: _, ...rest } = body as { return_url?: string }
  const { sub, name, email } = OPERATOR
  return { actor: { sub, name, email }, ...rest }
}

/** What is not in the contract yet, and the roles that may call it. */
const OWN: Record<string, readonly Role[]> = {
  ListActing: ['viewer', 'support', 'approver', 'admin'],
  FollowActing: ['viewer', 'support', 'approver', 'admin'],
  Search: ['viewer', 'support', 'approver', 'admin'],
  GetStats: ['viewer', 'support', 'approver', 'admin'],
  GetAuditEvent: ['viewer', 'support', 'approver', 'admin'],
  ExportAuditEvents: ['viewer', 'support', 'approver', 'admin'],
  ListSigningKeys: ['admin'],
  RotateSigningKeys: ['admin'],
  ListOperators: ['admin'],
  InviteOperator: ['admin'],
  DisableOperator: ['admin'],
  EnableOperator: ['admin'],
}

function meOf({ role = 'admin', settings = {}, serverURL }: ConsoleOptions): object {
  const contract = bapi.filter(operation => operation.roles?.includes(role)).map(({ id }) => id)
  const own = Object.entries(OWN).flatMap(([id, roles]) => (roles.includes(role) ? [id] : []))
  const now = Date.now()
  return {
    object: 'operator_session',
    operator: { ...OPERATOR, role },
    role,
    operations: [...new Set([...contract, ...own])],
    step_up_until: null,
    expires_at: now + 8 * 3_600_000,
    idle_expires_at: now + 1_800_000,
    settings: {
      environment: 'development',
      public_url: serverURL,
      instance_id: 'ins_dev',
      default_duration: 900,
      max_duration: 3_600,
      reason_categories: [],
      idp_host: 'accounts.example.com',
      scope_understood: true,
      ...settings,
    },
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { STAGEDOOR_SERVER_URL: serverURL, STAGEDOOR_SECRET_KEY: secretKey, PORT: port = '4180' } = process.env
  if (!serverURL || !secretKey) throw new Error('Set STAGEDOOR_SERVER_URL and STAGEDOOR_SECRET_KEY.')
  const { url } = await startConsole({ serverURL, secretKey, port: Number(port) })
  console.log(`The console, without its guard: ${url}`)
}

/** A server with data as support teams have it, and its console. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import type { Role } from '../../packages/server/src/contract/operation.ts'
import { buildConsole } from '../../scripts/build-console.ts'
import { FROM_CONSOLE, operatorOf } from './operators.ts'
import { expectOk, type ListeningServer, startServer } from './server.ts'

export interface ConsoleSite extends AsyncDisposable {
  server: ListeningServer
  /** The address of the console: `http://localhost:4180/console`. */
  url: string
  /** The `sub` of the operator who is signed in. */
  operatorSub: string
  /** Signs the operator in, in the browser of a page; or another one, who has a role. */
  signIn(page: Page, role?: Role): Promise<void>
  /** Returns the answer of `GET /console/api/me`. */
  me(): Promise<object>
}

const OLIVIA = { sub: 'olivia@support.example', name: 'Olivia Park', email: 'olivia@support.example' }

/** Builds the console, and starts a server that serves it, with an operator who is signed in. */
export async function startConsoleSite(role: Role = 'admin'): Promise<ConsoleSite> {
  const folder = mkdtempSync(join(tmpdir(), 'stagedoor-console-'))
  const consoleFolder = join(folder, 'console')
  buildConsole(consoleFolder)
  const server = await startServer({
    env: { STAGEDOOR_SIGNING_ALG: 'EdDSA', STAGEDOOR_SIGN_IN_URL: 'http://127.0.0.1:4101/sign-in' },
    consoleFolder,
  })
  const { cookie } = await operatorOf(server, role, OLIVIA)
  const origin = server.url.replace('127.0.0.1', 'localhost')
  return {
    server,
    url: `${origin}/console`,
    operatorSub: OLIVIA.sub,
    async signIn(page, other) {
      const cookies = other === undefined ? cookie : (await operatorOf(server, other)).cookie
      const [name = '', value = ''] = cookies.split('=')
      const session = { domain: 'localhost', path: '/', secure: true, httpOnly: true, sameSite: 'Strict' as const }
      await page.context().addCookies([{ name, value, ...session }])
    },
    async me() {
      const headers = { ...FROM_CONSOLE, origin, host: new URL(origin).host, cookie }
      return expectOk(await server.call('GET', '/console/api/me', undefined, headers))
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The users and actors of the seed. */
export const PEOPLE = {
  carl: {
    first_name: 'Carl',
    last_name: 'Customer',
    email_address: ['carl@customer.example'],
    external_id: 'customer-42',
  },
  dana: { first_name: 'Dana', last_name: 'Reyes', email_address: ['dana@globex.example'], external_id: 'customer-7' },
  zoe: { first_name: 'Zoë', last_name: 'Nakamura', email_address: ['zoe@initech.example'] },
  root: {
    first_name: 'Ruth',
    last_name: 'Admin',
    email_address: ['ruth@customer.example'],
    private_metadata: { stagedoor: { protected: true } },
  },
  bob: { first_name: 'Bob', last_name: 'Banned', email_address: ['bob@old.example'], banned: true },
  lou: { first_name: 'Lou', last_name: 'Locked', email_address: ['lou@old.example'], locked: true },
} as const

export type Person = keyof typeof PEOPLE

/** Creates users, sessions in which people and an agent act, refusals, and a policy. @returns the users’ ids */
export async function seed({ server, operatorSub }: ConsoleSite): Promise<Record<Person, string>> {
  const ids = {} as Record<Person, string>
  for (const [name, fields] of Object.entries(PEOPLE)) ids[name as Person] = (await server.createUser(fields)).id
  const olivia = { sub: operatorSub, name: 'Olivia Park', email: 'olivia@support.example' }
  const sam = { sub: 'sam@support.example', name: 'Sam Okafor' }
  const agent = {
    sub: 'billing-agent',
    kind: 'agent',
    name: 'Billing agent',
    act: { sub: 'sam@support.example', name: 'Sam Okafor' },
  }
  await server.signIn({
    user_id: ids.carl,
    actor: olivia,
    reason: 'Cannot download the invoice of May',
    ticket: 'https://support.example/tickets/1234',
    access: 'write',
    session_max_duration_in_seconds: 900,
  })
  await server.signIn({
    user_id: ids.dana,
    actor: sam,
    reason_category: 'incident',
    session_max_duration_in_seconds: 1_800,
  })
  const { token: ticket } = await server.createActorToken({
    user_id: ids.zoe,
    actor: agent,
    reason: 'Sends the reminder for invoice 2026-0417, which the customer asked for by phone, and checks the address',
    ticket: 'T-8812',
    scopes: ['invoices:read', 'invoices:send'],
    session_max_duration_in_seconds: 600,
  })
  await server.call('POST', '/v1/actor_tokens/accept', { ticket, understands: ['scope'] })
  const create = (fields: object) => server.call('POST', '/v1/actor_tokens', fields)
  await create({ user_id: ids.root, actor: sam, reason: 'Wants to see the settings' })
  await create({ user_id: ids.bob, actor: sam })
  await create({ user_id: ids.carl, actor: olivia, reason: 'Second look' })
  return ids
}

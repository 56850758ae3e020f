import { randomBytes } from 'node:crypto'
import { ask, type External, requestTo } from './external.ts'

/**
 * Measures a Keycloak that the user installed: starting a session as a user through its admin API, and its standard token
 * exchange (26.2 and later). It works in a realm of its own, which it deletes at the end.
 *
 * Sources: https://www.keycloak.org/docs-api/latest/rest-api/ and https://www.keycloak.org/securing-apps/token-exchange
 */

export interface KeycloakOptions {
  url: string
  /** `user:password` of an administrator of the realm `master`. */
  admin: string
  pids?: number[]
  databasePids?: number[]
}

const USERS = 50
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
/** The client that users sign in to, and the one that exchanges their tokens. */
const [APP, SUPPORT] = ['bench-app', 'bench-support']

export async function keycloak({ url, admin, pids = [], databasePids = [] }: KeycloakOptions): Promise<External> {
  const base = url.replace(/\/$/, '')
  const realm = `stagedoor-bench-${randomBytes(4).toString('hex')}`
  const secret = randomBytes(16).toString('hex')
  const [username = '', ...rest] = admin.split(':')
  const tokenUrl = (of: string) => `${base}/realms/${of}/protocol/openid-connect/token`
  const tokenFor = async (of: string, form: Record<string, string>) => {
    const answer = await ask(tokenUrl(of), { form: { grant_type: 'password', ...form }, status: 200 })
    return ((await answer.json()) as { access_token: string }).access_token
  }
  // It is valid for a minute by default.
  const adminToken = () => tokenFor('master', { client_id: 'admin-cli', username, password: rest.join(':') })
  const token = await adminToken()
  await ask(`${base}/admin/realms`, {
    body: { realm, enabled: true, sslRequired: 'none', accessTokenLifespan: 3_600 },
    token,
    status: 201,
  })
  const remove = async () => {
    await ask(`${base}/admin/realms/${realm}`, { method: 'DELETE', token: await adminToken(), status: 204 })
  }
  try {
    for (const body of clients(secret)) await ask(`${base}/admin/realms/${realm}/clients`, { body, token, status: 201 })
    const users: string[] = []
    const subjects: string[] = []
    for (let i = 0; i < USERS; i++) {
      // Creating users takes a while: each password is hashed.
      const body = userOf(i, secret)
      const made = await ask(`${base}/admin/realms/${realm}/users`, { body, token: await adminToken(), status: 201 })
      users.push(made.headers.get('location')?.split('/').at(-1) ?? '')
      const signIn = { client_id: APP, client_secret: secret, username: body.username, password: secret }
      subjects.push(await tokenFor(realm, signIn))
    }
    const exchanges = subjects.map(subject => exchangeRequest(tokenUrl(realm), secret, subject))
    return {
      pids,
      databasePids,
      works: [
        {
          name: 'Keycloak: impersonation',
          origin: new URL(base).origin,
          member: 'redirect',
          async requests() {
            const headers = `Authorization: Bearer ${await adminToken()}\r\n`
            return users.map(id =>
              requestTo(`${base}/admin/realms/${realm}/users/${id}/impersonation`, 'json', '{}', headers),
            )
          },
        },
        {
          name: 'Keycloak: token exchange',
          origin: new URL(base).origin,
          member: 'access_token',
          requests: async () => exchanges,
        },
      ],
      [Symbol.asyncDispose]: remove,
    }
  } catch (error) {
    await remove()
    throw error
  }
}

function exchangeRequest(url: string, secret: string, subject: string): string {
  const form = new URLSearchParams({
    grant_type: EXCHANGE,
    client_id: SUPPORT,
    client_secret: secret,
    subject_token: subject,
    subject_token_type: ACCESS_TOKEN,
    requested_token_type: ACCESS_TOKEN,
  })
  return requestTo(url, 'x-www-form-urlencoded', form.toString())
}

const userOf = (i: number, password: string) => ({
  username: `user-${i}`,
  email: `user-${i}@example.com`,
  emailVerified: true,
  enabled: true,
  firstName: 'A',
  lastName: 'User',
  credentials: [{ type: 'password', value: password, temporary: false }],
})

/** The tokens of the first client name the second one as an audience: only such tokens can be exchanged. */
function clients(secret: string) {
  const common = { protocol: 'openid-connect', publicClient: false, secret, standardFlowEnabled: false }
  const mapper = {
    name: 'audience',
    protocol: 'openid-connect',
    protocolMapper: 'oidc-audience-mapper',
    config: { 'included.client.audience': SUPPORT, 'access.token.claim': 'true', 'id.token.claim': 'false' },
  }
  return [
    { ...common, clientId: SUPPORT, attributes: { 'standard.token.exchange.enabled': 'true' } },
    { ...common, clientId: APP, directAccessGrantsEnabled: true, protocolMappers: [mapper] },
  ]
}

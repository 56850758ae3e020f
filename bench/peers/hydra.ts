import { randomBytes } from 'node:crypto'
import { ask, type External, requestTo } from './external.ts'

/**
 * Measures an Ory Hydra that the user installed: a signed access token by client credentials, which includes the check of
 * the client's hashed secret. Hydra has no way to act as a user. It creates one client, which it deletes at the end.
 *
 * Source: https://www.ory.com/docs/hydra/reference/api
 */

export interface HydraOptions {
  /** URL of the admin API, and of the public API. */
  admin: string
  public: string
  pids?: number[]
  databasePids?: number[]
}

export async function hydra(options: HydraOptions): Promise<External> {
  const [admin, open] = [options.admin.replace(/\/$/, ''), options.public.replace(/\/$/, '')]
  const secret = randomBytes(16).toString('hex')
  const made = await ask(`${admin}/admin/clients`, {
    body: {
      client_name: 'stagedoor-bench',
      client_secret: secret,
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'client_secret_post',
      access_token_strategy: 'jwt',
      scope: 'act',
    },
    status: 201,
  })
  const { client_id } = (await made.json()) as { client_id: string }
  const form = new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret: secret, scope: 'act' })
  return {
    pids: options.pids ?? [],
    databasePids: options.databasePids ?? [],
    works: [
      {
        name: 'Hydra: client credentials',
        origin: new URL(open).origin,
        member: 'access_token',
        requests: async () => [requestTo(`${open}/oauth2/token`, 'x-www-form-urlencoded', form.toString())],
      },
    ],
    async [Symbol.asyncDispose]() {
      await ask(`${admin}/admin/clients/${client_id}`, { method: 'DELETE', status: 204 })
    },
  }
}

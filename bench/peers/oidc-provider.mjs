import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import Provider, { errors } from 'oidc-provider'
import { answer } from '../child.ts'

/**
 * Runs node-oidc-provider with a token exchange (RFC 8693), which its users have to write: it looks up the user's access
 * token in its own store (in memory, the fastest), finds the account, and signs a JWT with `act`. It stores nothing. Reports
 * its port and the tokens to send.
 */

const ISSUER = 'https://auth.example.com'
const API = 'https://api.example.com'
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const USERS = 1_000

const findAccount = (_, sub) => ({ accountId: sub, claims: () => ({ sub }) })

const jwk = (type, alg) => {
  const { privateKey } =
    type === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig' }
}

const provider = new Provider(ISSUER, {
  jwks: { keys: [jwk('rsa', 'RS256'), jwk('ec', 'ES256')] },
  cookies: { keys: ['only for a measurement'] },
  scopes: ['openid', 'act'],
  clients: [
    {
      client_id: 'olivia',
      client_secret: 'olivia, only for a measurement',
      grant_types: [TOKEN_EXCHANGE],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_post',
    },
  ],
  features: { devInteractions: { enabled: false } },
  findAccount,
  extraTokenClaims: (_, token) => ({
    act: { sub: token.clientId, reason: 'ticket 4711' },
  }),
})

const lifetime = alg =>
  new provider.ResourceServer(API, {
    scope: 'act',
    audience: API,
    accessTokenFormat: 'jwt',
    accessTokenTTL: 60,
    jwt: { sign: { alg } },
  })
const resources = { RS256: lifetime('RS256'), ES256: lifetime('ES256') }

provider.registerGrantType(
  TOKEN_EXCHANGE,
  async ctx => {
    const { client, params } = ctx.oidc
    if (params.subject_token_type !== 'urn:ietf:params:oauth:token-type:access_token')
      throw new errors.InvalidRequest('unsupported subject_token_type')
    const subject = await provider.AccessToken.find(params.subject_token)
    if (!subject) throw new errors.InvalidGrant('subject_token not found')
    const account = await findAccount(ctx, subject.accountId)
    if (!account) throw new errors.InvalidGrant('account not found')
    const token = new provider.AccessToken({
      client,
      accountId: account.accountId,
      gty: 'token_exchange',
      scope: 'act',
    })
    token.resourceServer = resources[params.resource === `${API}/es256` ? 'ES256' : 'RS256']
    ctx.oidc.entity('AccessToken', token)
    ctx.body = {
      access_token: await token.save(),
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: token.tokenType,
      expires_in: token.expiration,
    }
  },
  ['subject_token', 'subject_token_type', 'resource'],
)

provider.on('server_error', (_, error) => console.error(error))
const client = await provider.Client.find('olivia')
const subjects = await Promise.all(
  Array.from({ length: USERS }, (_, i) =>
    new provider.AccessToken({ client, accountId: `user_${i}`, gty: 'setup', scope: 'openid' }).save(),
  ),
)

const server = createServer(provider.callback())
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address()

answer(() => ({ port, subjects }))

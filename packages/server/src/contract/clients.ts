import { z } from 'zod'
import { Id, Milliseconds, operation } from './operation.ts'
import { Session } from './sessions.ts'

/** A browser (or backend) that holds sessions. */
export const Client = z
  .strictObject({
    object: z.literal('client'),
    id: Id,
    session_ids: z.array(Id),
    sessions: z.array(Session),
    sign_in_id: z.null(),
    sign_up_id: z.null(),
    last_active_session_id: Id.nullable(),
    last_authentication_strategy: z.literal('ticket').nullable(),
    created_at: Milliseconds,
    updated_at: Milliseconds,
  })
  .meta({ id: 'Client' })

export const getClient = operation({
  id: 'GetClient',
  method: 'get',
  path: '/v1/clients/{client_id}',
  tag: 'Clients',
  summary: 'Read a client and its active sessions',
  auth: 'secret_key',
  rights: ['act'],
  roles: [],
  response: Client,
  errors: ['resource_not_found'],
})

export const verifyClient = operation({
  id: 'VerifyClient',
  method: 'post',
  path: '/v1/clients/verify',
  tag: 'Clients',
  summary: 'Verify the `__client` cookie of a browser',
  auth: 'secret_key',
  rights: ['act'],
  roles: [],
  body: z.strictObject({ token: z.string().min(1).max(8_192) }).meta({ id: 'VerifyClientRequestBody' }),
  response: Client,
  errors: ['authentication_invalid'],
})

export const getHandshakePayload = operation({
  id: 'GetHandshakePayload',
  method: 'get',
  path: '/v1/clients/handshake_payload',
  tag: 'Clients',
  summary: 'Exchange a handshake nonce for the cookies to set',
  auth: 'secret_key',
  rights: ['act'],
  roles: [],
  query: z.looseObject({ nonce: z.string().min(1).max(4_096) }),
  response: z
    .strictObject({ directives: z.array(z.string()).describe('Values of Set-Cookie headers.') })
    .meta({ id: 'HandshakePayload' }),
  errors: ['invalid_handshake'],
})

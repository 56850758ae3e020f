import { z } from 'zod'
import { durationSeconds, formErrors } from './actor-tokens.ts'
import { cursorOf, Id, listOf, Milliseconds, operation, pagedQuery, RIGHTS } from './operation.ts'

/** Secret keys: what servers use to call the Backend API. Their rights decide which operations they may call. */

const rights = z
  .array(z.enum(RIGHTS))
  .describe('What the key may do: `everything`, or some of the other rights. docs/concepts/secret-keys.md lists them.')

export const SecretKey = z
  .strictObject({
    object: z.literal('secret_key'),
    id: Id,
    name: z.string(),
    hint: z.string().describe('The first and the last characters of the key, to tell keys apart.'),
    rights,
    created_at: Milliseconds,
    expires_at: Milliseconds.nullable().describe('When the key expires. Null: never.'),
    revoked_at: Milliseconds.nullable(),
  })
  .meta({ id: 'SecretKey' })

export const CreatedSecretKey = SecretKey.extend({
  secret: z.string().describe('The key itself. Only this answer has it: the server stores a hash.'),
}).meta({ id: 'CreatedSecretKey' })

export const CreateSecretKeyRequestBody = z
  .strictObject({
    name: z.string().min(1).max(255).describe('What the key is for.'),
    rights: z
      // Which rights are valid together is a rule, with an error that says more than a schema can.
      .array(z.string().max(255))
      .max(20)
      .default(['everything'])
      .meta({ items: { type: 'string', enum: [...RIGHTS] }, minItems: 1 })
      .describe('What the key may do: `everything`, or some of the other rights.'),
    expires_in_seconds: durationSeconds
      .optional()
      .describe('Lifetime of the key, in seconds. Default: the key does not expire.'),
  })
  .meta({ id: 'CreateSecretKeyRequestBody' })

export const listSecretKeys = operation({
  id: 'GetSecretKeyList',
  method: 'get',
  path: '/v1/secret_keys',
  tag: 'Secret Keys',
  summary: 'List secret keys, newest first, without the keys themselves',
  auth: 'secret_key',
  rights: [],
  roles: ['admin'],
  query: pagedQuery({}, cursorOf('key')),
  response: listOf(SecretKey),
  stagedoorOnly: true,
})

export const createSecretKey = operation({
  id: 'CreateSecretKey',
  method: 'post',
  path: '/v1/secret_keys',
  tag: 'Secret Keys',
  summary: 'Create a secret key and show it once',
  description:
    'The answer has the key in `secret`; no later request returns it. If a request repeats an Idempotency-Key, it creates nothing and is refused with `secret_key_shown_before`, which names the key that exists.',
  auth: 'secret_key',
  rights: [],
  roles: ['admin'],
  idempotent: true,
  action: 'secret_key.create',
  stepUp: true,
  body: CreateSecretKeyRequestBody,
  response: CreatedSecretKey,
  errors: [...formErrors, 'secret_key_shown_before'],
  stagedoorOnly: true,
})

export const revokeSecretKey = operation({
  id: 'RevokeSecretKey',
  method: 'post',
  path: '/v1/secret_keys/{secret_key_id}/revoke',
  tag: 'Secret Keys',
  summary: 'Revoke a secret key',
  description:
    'Once this request is answered, every request with the key is refused with `clerk_key_invalid`, and its event streams end within a second. A key that is already revoked is returned unchanged.',
  auth: 'secret_key',
  rights: [],
  roles: ['admin'],
  neverShed: true,
  action: 'secret_key.revoke',
  stepUp: true,
  response: SecretKey,
  errors: ['resource_not_found'],
  stagedoorOnly: true,
})

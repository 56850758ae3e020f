import { z } from 'zod'
import { formErrors } from './actor-tokens.ts'
import { Id, Milliseconds, operation } from './operation.ts'

/** Signing keys: what session tokens are signed with. docs/concepts/keys.md explains their life. */

export const SigningKey = z
  .strictObject({
    object: z.literal('signing_key'),
    id: Id.describe('The `kid` in the header of tokens and in the key set.'),
    alg: z.enum(['RS256', 'ES256', 'EdDSA']),
    status: z
      .enum(['next', 'active', 'retiring', 'removed'])
      .describe('`next` is published and signs nothing yet; `retiring` is published until its last token has expired.'),
    created_at: Milliseconds,
    retired_at: Milliseconds.nullable().describe('When the key signed for the last time.'),
  })
  .meta({ id: 'SigningKey' })

/** There are few of them, so they are not a list with pages. */
export const SigningKeys = z
  .strictObject({ object: z.literal('signing_keys'), data: z.array(SigningKey) })
  .meta({ id: 'SigningKeys' })

const shared = {
  tag: 'Signing Keys',
  auth: 'secret_key',
  rights: [],
  roles: ['admin'],
  response: SigningKeys,
  stagedoorOnly: true,
} as const

export const listSigningKeys = operation({
  ...shared,
  id: 'ListSigningKeys',
  method: 'get',
  path: '/v1/signing_keys',
  summary: 'List the keys that sign session tokens, without their private parts',
})

export const rotateSigningKeys = operation({
  ...shared,
  id: 'RotateSigningKeys',
  method: 'post',
  path: '/v1/signing_keys/rotate',
  summary: 'Activate the next signing key, retire the active one, and create a new next key',
  action: 'signing_key.rotate',
  stepUp: true,
  body: z
    .strictObject({
      at_once: z
        .boolean()
        .default(false)
        .describe('Do not wait until every verifier knows the next key, which takes 5 minutes after it was published.'),
    })
    .meta({ id: 'RotateSigningKeysRequestBody' }),
  errors: [...formErrors, 'request_invalid'],
})

export const removeSigningKey = operation({
  ...shared,
  id: 'RemoveSigningKey',
  method: 'post',
  path: '/v1/signing_keys/{signing_key_id}/remove',
  summary: 'Remove a retiring signing key whose tokens have expired',
  description:
    'Deletes the private part of the key; it is no longer published. With `emergency`, any key is removed at once: its tokens become invalid, except for verifiers that still have the key set in their cache.',
  neverShed: true,
  action: 'signing_key.remove',
  stepUp: true,
  body: z
    .strictObject({ emergency: z.boolean().default(false).describe('Remove the key at once, in any state.') })
    .meta({ id: 'RemoveSigningKeyRequestBody' }),
  errors: [...formErrors, 'request_invalid', 'resource_not_found'],
})

import { z } from 'zod'
import { cursorOf, DeletedObject, Id, JsonObject, listOf, Milliseconds, operation, pagedQuery } from './operation.ts'

const Claims = JsonObject.meta({
  id: 'Claims',
  description:
    'The claims of a JWT template: any JSON object. Strings in it may contain shortcodes, such as `{{user.first_name}}`: docs/concepts/jwt-templates.md.',
  type: 'object',
  additionalProperties: true,
})

const lifetime = z.int().min(30).max(315_360_000)
const allowed_clock_skew = z.int().min(0).max(300)

export const JwtTemplate = z
  .strictObject({
    object: z.literal('jwt_template'),
    id: Id,
    name: z.string(),
    claims: Claims,
    lifetime,
    allowed_clock_skew,
    custom_signing_key: z.literal(false),
    signing_algorithm: z.enum(['RS256', 'ES256', 'EdDSA']).describe('The server’s own algorithm.'),
    created_at: Milliseconds,
    updated_at: Milliseconds,
  })
  .meta({ id: 'JWTTemplate' })

/** The name is part of a URL, so it has no character that needs encoding there, and is never `..`. */
const name = z
  .string()
  .regex(/^[A-Za-z0-9][\w.-]{0,127}$/, {
    error: '1 to 128 letters, digits, `_`, `-` and `.`, beginning with a letter or digit',
  })
  .describe('Unique. Callers request tokens by this name.')

const settable = {
  lifetime: lifetime.nullish().describe('Lifetime of its tokens, in seconds. Default: 60.'),
  allowed_clock_skew: allowed_clock_skew
    .nullish()
    .describe('How far `nbf` is before the time of minting, in seconds. Default: 5.'),
  custom_signing_key: z
    .boolean()
    .meta({ const: false })
    .nullish()
    .describe('Must be `false`: tokens are signed with the server’s own key.'),
  signing_algorithm: z.string().max(16).nullish().describe('The server’s own algorithm, or omitted.'),
  signing_key: z.string().max(16_384).nullish().describe('Not supported: omit this.'),
}

export const CreateJwtTemplateRequestBody = z
  .strictObject({ name, claims: Claims, ...settable })
  .meta({ id: 'CreateJWTTemplateRequestBody' })

export const UpdateJwtTemplateRequestBody = z
  .strictObject({ name: name.optional(), claims: Claims.optional(), ...settable })
  .meta({ id: 'UpdateJWTTemplateRequestBody' })

const bodyErrors = [
  'form_param_missing',
  'form_param_value_invalid',
  'form_param_type_invalid',
  'form_param_unknown',
  'form_identifier_exists',
  'jwt_template_reserved_claim',
] as const

export const listJwtTemplates = operation({
  id: 'ListJWTTemplates',
  method: 'get',
  path: '/v1/jwt_templates',
  tag: 'JWT Templates',
  summary: 'List JWT templates, newest first',
  auth: 'secret_key',
  rights: [],
  roles: ['admin'],
  query: pagedQuery({}, cursorOf('jtmp')),
  response: listOf(JwtTemplate),
})

export const createJwtTemplate = operation({
  id: 'CreateJWTTemplate',
  method: 'post',
  path: '/v1/jwt_templates',
  tag: 'JWT Templates',
  summary: 'Create a JWT template',
  description:
    'A template defines the claims of tokens for another service that reads JWTs. Callers request a token by the template’s name: docs/concepts/jwt-templates.md.',
  auth: 'secret_key',
  rights: [],
  roles: ['admin'],
  idempotent: true,
  action: 'jwt_template.create',
  body: CreateJwtTemplateRequestBody,
  response: JwtTemplate,
  errors: bodyErrors,
})

export const getJwtTemplate = operation({
  id: 'GetJWTTemplate',
  method: 'get',
  path: '/v1/jwt_templates/{template_id}',
  tag: 'JWT Templates',
  summary: 'Read a JWT template',
  auth: 'secret_key',
  rights: [],
  roles: ['admin'],
  response: JwtTemplate,
  errors: ['resource_not_found'],
})

export const updateJwtTemplate = operation({
  id: 'UpdateJWTTemplate',
  method: 'patch',
  path: '/v1/jwt_templates/{template_id}',
  tag: 'JWT Templates',
  summary: 'Change a JWT template',
  description: 'Omitted members keep their values. Tokens that are already minted do not change.',
  auth: 'secret_key',
  rights: [],
  roles: ['admin'],
  action: 'jwt_template.update',
  body: UpdateJwtTemplateRequestBody,
  response: JwtTemplate,
  errors: [...bodyErrors, 'resource_not_found'],
})

export const deleteJwtTemplate = operation({
  id: 'DeleteJWTTemplate',
  method: 'delete',
  path: '/v1/jwt_templates/{template_id}',
  tag: 'JWT Templates',
  summary: 'Delete a JWT template',
  description: 'Tokens that are already minted stay valid until they expire.',
  auth: 'secret_key',
  rights: [],
  roles: ['admin'],
  action: 'jwt_template.delete',
  response: DeletedObject,
  errors: ['resource_not_found'],
})

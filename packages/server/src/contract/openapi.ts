import { z } from 'zod'
import { type ErrorCode, errors } from './errors.ts'
import { isForUsersOnly, type Operation } from './operation.ts'

/** The part of JSON Schema that this contract needs. */
export type JsonSchema = { [keyword: string]: unknown }

export interface OpenApiDocument {
  openapi: '3.1.0'
  info: { title: string; version: string; description: string; license: { name: string; identifier: string } }
  servers: { url: string }[]
  paths: Record<string, Record<string, JsonSchema>>
  components: { schemas: Record<string, JsonSchema>; securitySchemes: Record<string, JsonSchema> }
}

/** Error codes of every operation with this kind of authentication, in addition to its own. */
const ANYWHERE: Record<Operation['auth'], ErrorCode[]> = {
  secret_key: [
    'authorization_header_format_invalid',
    'clerk_key_invalid',
    'key_not_allowed',
    'api_version_invalid',
    'too_many_requests',
  ],
  client: [
    'origin_invalid',
    'origin_authorization_headers_conflict',
    'not_while_prefetching',
    'proxy_request_missing_secret_key',
    'proxy_request_invalid_secret_key',
    'too_many_requests',
  ],
  none: [],
  // The operations of the console are in no document.
  operator: [],
  console: [],
}
const WITH_BODY: ErrorCode[] = [
  'request_body_invalid',
  'unsupported_content_type',
  'request_body_too_large',
  'form_param_missing',
  'form_param_type_invalid',
  'form_param_value_invalid',
  'form_param_unknown',
]
const WITH_QUERY: ErrorCode[] = ['form_param_missing', 'form_param_value_invalid', 'form_param_unknown']
const MAKING: ErrorCode[] = ['idempotency_key_invalid', 'idempotency_key_reused', 'resource_not_found']
const ALWAYS: ErrorCode[] = ['request_invalid', 'internal_clerk_error', 'service_unavailable', 'policy_unavailable']
const WITH_ACTION: ErrorCode[] = ['outcome_unknown']

/**
 * Describes operations as an OpenAPI 3.1 document. The same operations always give the same document.
 * @example openApi('Backend API', bapi).paths['/v1/actor_tokens'].post.operationId // 'CreateActorToken'
 */
export function openApi(title: string, operations: readonly Operation[], description: string): OpenApiDocument {
  const schemas: Record<string, JsonSchema> = { Errors: errorsSchema() }
  const refer = (schema: z.ZodType, io: 'input' | 'output') => hoist(toJsonSchema(schema, io), schemas)
  const paths: OpenApiDocument['paths'] = {}
  for (const operation of operations) {
    const path = paths[operation.path] ?? {}
    path[operation.method] = describe(operation, refer)
    paths[operation.path] = path
  }
  return {
    openapi: '3.1.0',
    info: { title, version: '0.1.0', description, license: { name: 'MIT', identifier: 'MIT' } },
    servers: [{ url: 'http://127.0.0.1:4100' }],
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1))),
      securitySchemes: {
        secret_key: { type: 'http', scheme: 'bearer', description: 'A secret API key, `sk_…`.' },
        client: { type: 'apiKey', in: 'cookie', name: '__client', description: 'The browser’s client.' },
      },
    },
  }
}

/** Returns every error code that an operation can answer with. */
export function errorCodesOf(operation: Operation): ErrorCode[] {
  return [
    ...new Set([
      ...ANYWHERE[operation.auth],
      ...(operation.body ? WITH_BODY : []),
      ...(operation.query ? WITH_QUERY : []),
      ...(operation.idempotent ? MAKING : []),
      ...(operation.errors ?? []),
      ...(isForUsersOnly(operation) ? (['forbidden_while_acting'] as const) : []),
      ...(operation.path.includes('{') ? (['resource_not_found'] as const) : []),
      ...ALWAYS,
      ...(operation.action ? WITH_ACTION : []),
    ]),
  ]
}

type Refer = (schema: z.ZodType, io: 'input' | 'output') => JsonSchema

function describe(operation: Operation, refer: Refer): JsonSchema {
  const { id, tag, summary, description, auth, body, bodyType = 'json', status = 200, stagedoorOnly } = operation
  const parameters = [
    ...pathParameters(operation),
    ...queryParameters(operation, refer),
    ...(operation.idempotent ? [IDEMPOTENCY_KEY] : []),
  ]
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(stagedoorOnly ? { 'x-stagedoor-only': true } : {}),
    security: auth === 'none' ? [] : [{ [auth]: [] }, ...(operation.anonymous || operation.publicIf ? [{}] : [])],
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body === undefined ? {} : { requestBody: requestBody(body, bodyType, refer) }),
    responses: {
      ...(operation.page ? { 200: { description: 'A page.', content: { 'text/html': {} } } } : {}),
      [status]: success(operation, refer),
      ...(operation.mayBePending ? { 202: pending(operation, refer) } : {}),
      ...failures(operation),
      431: { description: 'The URL and the headers are larger than 16 KiB. The answer has no body.' },
    },
  }
}

function pathParameters({ path }: Operation): JsonSchema[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
}

function queryParameters({ query }: Operation, refer: Refer): JsonSchema[] {
  if (!query) return []
  const { properties = {}, required = [] } = refer(query, 'input') as {
    properties?: Record<string, JsonSchema>
    required?: string[]
  }
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema,
  }))
}

const IDEMPOTENCY_KEY: JsonSchema = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description:
    'Makes a retry safe. If the same secret key sends the same key and body again within 24 hours, nothing more is created. The answer is the object that was created first, with `Idempotent-Replayed: true`.',
  // Plain text, or the string of a structured field (RFC 8941).
  schema: { type: 'string', pattern: '^([!#-~]([ -~]{0,253}[!-~])?|"([ !#-\\[\\]-~]|\\\\["\\\\]){1,255}")$' },
}

function requestBody(body: z.ZodType, type: 'json' | 'form', refer: Refer): JsonSchema {
  const media = type === 'json' ? 'application/json' : 'application/x-www-form-urlencoded'
  const schema = refer(body, 'input')
  return {
    // A missing body counts as an empty object, because Clerk's SDK for Node sends none.
    required: [undefined, {}].every(empty => !body.safeParse(empty).success),
    content: { [media]: { schema: type === 'json' ? schema : ofTexts(schema) } },
  }
}

/** Additional fields of a form are text. */
const ofTexts = (schema: JsonSchema): JsonSchema => ({ ...schema, additionalProperties: { type: 'string' } })

const TEXT = { 'text/plain': { schema: { type: 'string' } } }

function success(
  { response, status = 200, summary, stream, downloads, alsoText }: Operation,
  refer: Refer,
): JsonSchema {
  if (status !== 200) return { description: 'A redirect.', headers: { Location: { schema: { type: 'string' } } } }
  const types = downloads ?? [stream ? 'text/event-stream' : 'application/json']
  const media = { schema: refer(response, 'output') }
  return {
    description: summary,
    content: { ...Object.fromEntries(types.map(type => [type, media])), ...(alsoText ? TEXT : {}) },
  }
}

function pending({ response, alsoText }: Operation, refer: Refer): JsonSchema {
  return {
    description: 'Not yet. Try again after the seconds in `Retry-After`.',
    content: { 'application/json': { schema: refer(response, 'output') }, ...(alsoText ? TEXT : {}) },
  }
}

function failures(operation: Operation): Record<string, JsonSchema> {
  const byStatus = Map.groupBy(errorCodesOf(operation), code => errors[code].status)
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      status,
      {
        description: codes.map(code => `\`${code}\``).join(', '),
        content: {
          'application/json': { schema: { $ref: '#/components/schemas/Errors' } },
          ...(operation.page ? { 'text/html': {} } : {}),
        },
      },
    ]),
  )
}

function errorsSchema(): JsonSchema {
  return {
    type: 'object',
    description: 'Every refusal.',
    properties: {
      errors: {
        type: 'array',
        minItems: 1,
        items: {
          type: 'object',
          properties: {
            code: { type: 'string', enum: Object.keys(errors) },
            message: { type: 'string' },
            long_message: { type: 'string' },
            meta: {
              type: 'object',
              properties: {
                param_name: { type: 'string', description: 'The field that is wrong.' },
                action: { type: 'string', description: 'What to do next.' },
              },
              additionalProperties: true,
            },
          },
          required: ['code', 'message', 'long_message', 'meta'],
        },
      },
      clerk_trace_id: { type: 'string', description: 'Identifies this request in the server log and the audit log.' },
    },
    required: ['errors', 'clerk_trace_id'],
  }
}

function toJsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  return z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      // Query values are text. If `meta` declares a number or a flag, the pattern of the text adds nothing.
      if (jsonSchema.type === 'integer' || jsonSchema.type === 'boolean') {
        delete jsonSchema.pattern
        delete jsonSchema.enum
      }
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
    },
  }) as JsonSchema
}

/** Moves named schemas to the components and returns a reference. */
function hoist(schema: JsonSchema, schemas: Record<string, JsonSchema>): JsonSchema {
  const { $schema: _, $defs = {}, ...rest } = schema as JsonSchema & { $defs?: Record<string, JsonSchema> }
  for (const [name, definition] of Object.entries($defs)) {
    const { id: _id, ...plain } = repoint(definition) as JsonSchema
    schemas[name] = plain
  }
  const { id, ...plain } = repoint(rest) as JsonSchema
  if (typeof id !== 'string') return plain
  schemas[id] = plain
  return { $ref: `#/components/schemas/${id}` }
}

function repoint(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(repoint)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === '$ref' && typeof inner === 'string' ? inner.replace('#/$defs/', '#/components/schemas/') : repoint(inner),
    ]),
  )
}

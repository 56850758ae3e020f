/** Combines the contract with the tables of this folder: what both generators need to know about each method. */
import { errorCodesOf, type JsonSchema, type OpenApiDocument } from '../../packages/server/src/contract/openapi.ts'
import type { Operation } from '../../packages/server/src/contract/operation.ts'
import { handWritten, resources } from './index.ts'
import type { Method, Resource } from './resource.ts'

/** A method, without regard to the language. */
export interface Shape {
  method: Method
  resource: Resource
  operationId: string
  verb: string
  path: string
  /** Names of the parameters in the path. */
  ids: string[]
  body: Body | undefined
  query: Query | undefined
  answer: Answer
  /** The server takes an idempotency key. */
  isIdempotent: boolean
  /** Error codes that the contract gives the operation, each with its explanation in brackets. */
  errors: string[]
  /** `` `POST /v1/actor_tokens` (CreateActorToken, as at Clerk) `` */
  source: string
}

export interface Body {
  /** The name of the schema. Undefined for the body of a revocation, which is only a reason. */
  model: string | undefined
  members: Member[]
  /** What a caller may omit: nothing, every member (`empty`), or the body itself (`absent`). */
  optional: 'no' | 'empty' | 'absent'
}

export interface Query {
  /** The name of the type with all filters. */
  model: string
  members: Member[]
  /** The filters are named parameters; otherwise the members are parameters. */
  isFilter: boolean
}

export interface Member {
  name: string
  /** The type in JSON Schema: `string`, `integer`, `boolean`, … */
  type: string
  required: boolean
  default: unknown
}

/** A list, a number, or the object itself. */
export interface Answer {
  kind: 'list' | 'count' | 'object'
  /** The name of the schema; of a list, that of its rows. */
  model: string
  /** Rows of the list can change their position. */
  movable: boolean
  /** The path that counts the rows. */
  countPath: string | undefined
}

/** Returns the shapes of all generated methods, by resource, in the order of the tables. */
export function shapesOf(document: OpenApiDocument, operations: readonly Operation[]): Map<Resource, Shape[]> {
  assertComplete(operations)
  return new Map(
    resources.map(resource => [
      resource,
      Object.entries(resource.methods).map(([operationId, method]) => {
        const operation = operations.find(({ id }) => id === operationId)
        if (operation === undefined) throw new Error(`scripts/sdk/: the contract has no operation ${operationId}.`)
        return shapeOf(document, operation, resource, method)
      }),
    ]),
  )
}

/** Every operation has a method, so that none is forgotten. */
function assertComplete(operations: readonly Operation[]): void {
  const known = new Set([
    ...resources.flatMap(({ methods }) => Object.keys(methods)),
    ...Object.values(handWritten).flatMap(entry => entry.operations),
  ])
  const missing = operations.filter(({ id }) => !known.has(id)).map(({ id }) => id)
  if (missing.length > 0) {
    throw new Error(`No method in the SDKs: ${missing.join(', ')}. Describe each in its file of scripts/sdk/.`)
  }
}

/** Operations that do something without any member of the body. */
const DOES = new Set(['RotateSigningKeys', 'RemoveSigningKey'])

function shapeOf(document: OpenApiDocument, operation: Operation, resource: Resource, method: Method): Shape {
  const { id, path, method: verb, stagedoorOnly } = operation
  const described = document.paths[path]?.[verb] as unknown as Described
  const parameters = described.parameters ?? []
  const shown = `\`${verb.toUpperCase()} ${path.replace(/\{\w*id\}/, '{id}')}\``
  const isIdempotent = parameters.some(({ name }) => name === 'Idempotency-Key')
  // A change of nothing makes no sense, so only what creates or does something can omit all members.
  const body = bodyOf(document, id, described, isIdempotent || DOES.has(id))
  const ids = parameters.filter(parameter => parameter.in === 'path').map(({ name }) => name)
  if (ids.length === 1 && resource.id === undefined) throw new Error(`scripts/sdk/: ${resource.name} has no \`id\`.`)
  return {
    method,
    resource,
    operationId: id,
    verb: verb.toUpperCase(),
    path,
    ids,
    body,
    query: queryOf(id, parameters),
    answer: answerOf(document, path, described),
    isIdempotent,
    errors: errorsOf(operation, body, method),
    source: `${shown} (${stagedoorOnly ? 'Stagedoor only' : `${id}, as at Clerk`})`,
  }
}

interface Described {
  parameters?: { name: string; in: string; required: boolean; schema: JsonSchema }[]
  requestBody?: { required: boolean; content: { 'application/json': { schema: JsonSchema } } }
  responses: Record<string, { content?: { 'application/json'?: { schema: JsonSchema } } }>
}

function bodyOf(document: OpenApiDocument, id: string, described: Described, mayBeEmpty: boolean): Body | undefined {
  if (described.requestBody === undefined) return undefined
  const { required, content } = described.requestBody
  const { schema } = content['application/json']
  const model = nameOf(schema)
  if (model !== undefined) {
    const members = membersOf(document.components.schemas[model] ?? {})
    return { model, members, optional: mayBeEmpty && !required ? 'empty' : 'no' }
  }
  const [object = {}] = (schema.anyOf ?? [schema]) as JsonSchema[]
  const members = membersOf(object)
  if (required || members.map(({ name }) => name).join() !== 'reason') {
    throw new Error(`The body of ${id} has no name. Give it one: .meta({ id: '${id}RequestBody' }).`)
  }
  return { model, members, optional: 'absent' }
}

function queryOf(id: string, parameters: Described['parameters'] = []): Query | undefined {
  const members = parameters
    .filter(parameter => parameter.in === 'query')
    .map(({ name, required, schema }) => ({ name, required, type: String(schema.type), default: schema.default }))
  if (members.length === 0) return undefined
  return { model: `${id}Query`, members, isFilter: !members.some(({ required }) => required) }
}

function answerOf(document: OpenApiDocument, path: string, { parameters = [], responses }: Described): Answer {
  const schema = responses['200']?.content?.['application/json']?.schema ?? {}
  const [array = {}] = (schema.anyOf ?? []) as { type?: string; items?: JsonSchema }[]
  const isList = array.type === 'array'
  const model = nameOf(isList ? (array.items ?? {}) : schema)
  if (model === undefined) throw new Error(`The answer of ${path} has no name. Give it one: .meta({ id: … }).`)
  return {
    kind: isList ? 'list' : model === 'TotalCount' ? 'count' : 'object',
    model,
    movable: isList && parameters.some(({ name }) => name === 'order_by'),
    countPath: isList && document.paths[`${path}/count`] !== undefined ? `${path}/count` : undefined,
  }
}

/** Returns the codes of the operation itself, and those of every operation with a path, a body or a query like it. */
function errorsOf(
  operation: Operation,
  body: Body | undefined,
  { errors: meanings = {}, hasTicket }: Method,
): string[] {
  const own = (operation.errors ?? []).filter(code => !isOfForms(code))
  const ofForms = body?.model === undefined ? [] : errorCodesOf(operation).filter(isOfForms)
  const ofPath = operation.path.includes('{') ? ['resource_not_found'] : []
  const ofQuery = operation.query ? ['form_param_value_invalid'] : []
  const codes: string[] = [...new Set([...own, ...ofPath, ...ofForms, ...ofQuery])]
  if (codes.length === 0) codes.push('clerk_key_invalid')
  const unknown = Object.keys(meanings).filter(code => !codes.includes(code))
  if (unknown.length > 0) throw new Error(`scripts/sdk/: ${operation.id} has no error ${unknown.join(', ')}.`)
  const listed = codes.map(code => `\`${code}\`${meanings[code] === undefined ? '' : ` (${meanings[code]})`}`)
  return hasTicket ? [...listed, TICKET_UNAVAILABLE] : listed
}

const isOfForms = (code: string) => code.startsWith('form_param_')

const TICKET_UNAVAILABLE =
  '`ticket_unavailable` (your idempotency key created it before, and it has been redeemed or revoked since)'

function membersOf({ properties = {}, required = [] }: JsonSchema): Member[] {
  return Object.entries(properties as Record<string, JsonSchema>).map(([name, schema]) => ({
    name,
    type: String(schema.type),
    required: (required as string[]).includes(name),
    default: schema.default,
  }))
}

function nameOf({ $ref }: JsonSchema): string | undefined {
  return typeof $ref === 'string' ? $ref.replace('#/components/schemas/', '') : undefined
}

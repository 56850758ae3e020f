import type { Context as HonoContext } from 'hono'
import { getPath } from 'hono/utils/url'
import { z } from 'zod'
import { ApiError, ApiErrors, invalidParam } from '../contract/errors.ts'
import type { Operation, ParamsOf } from '../contract/operation.ts'
import type { HeaderReader } from './caller.ts'
import { parseJson } from './json.ts'
import type { Env } from './request-log.ts'
import { validationErrors } from './validation-errors.ts'

/** Reads the input of an operation: bytes become JSON or a form, and the contract's schemas check the result, once. */

/** Maximum size of a request body, in bytes. */
export const MAX_BODY_BYTES = 262_144
/** Maximum number of form fields, because parsing a form is slow. */
const MAX_FIELDS = 200

const expected = { json: 'application/json', form: 'application/x-www-form-urlencoded' } as const

/** Returns a function that reads and validates the query, the body and the path parameters of an operation. */
export function inputReader<B extends z.ZodType, Q extends z.ZodType, R extends z.ZodType, P extends string>(
  operation: Operation<B, Q, R, P>,
) {
  const { query: querySchema, body: bodySchema, bodyType = 'json' } = operation
  const readQuery = querySchema && queryReader(querySchema)
  const names = [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)

  /** @param complete returns what is validated instead of the body that was sent */
  return async (http: HonoContext<Env>, header: HeaderReader, complete: (sent: unknown) => unknown = sent => sent) => {
    const query = querySchema && readQuery && validate(querySchema, readQuery(new URL(http.req.url).searchParams))
    const read = bodySchema && (await readBody(http.req.raw, header, bodyType))
    const sent = bodySchema && (read ?? emptyBody(bodySchema, bodyType, read))
    const body = bodySchema && validate(bodySchema, complete(sent))
    const params = Object.fromEntries(names.map(name => [name, pathParam(http, name)]))
    return {
      params: params as Record<ParamsOf<P>, string>,
      body: body as z.output<B>,
      query: query as z.output<Q>,
      /** The body before validation. */
      sent,
    }
  }
}

/**
 * Validates input with an operation's schema, and returns the parsed value.
 * @throws ApiErrors one for each wrong field, with Clerk's texts
 */
function validate<T extends z.ZodType>(schema: T, input: unknown): z.output<T> {
  const parsed = schema.safeParse(input)
  if (parsed.success) return parsed.data
  throw new ApiErrors(validationErrors(parsed.error.issues, input))
}

/** Replaces a missing body by an empty object, because Clerk's SDK for Node sends none. `null` is a body: if `{}` is valid, it is not replaced, so validation refuses it. */
function emptyBody(schema: z.ZodType, type: 'json' | 'form', sent: unknown): unknown {
  if (type === 'form') return {}
  if (schema.safeParse(undefined).success) return undefined
  // If the schema refuses an empty object, the answer names the missing members.
  return sent === null && schema.safeParse({}).success ? null : {}
}

/** Path parameters that are any text: the `sub` of an actor, the name of a team or tag. */
const ANY_TEXT = ['sub', 'name']

/** Returns the form of a path parameter. Other names are printable ASCII. */
function formOf(name: string): RegExp {
  if (name.endsWith('_id')) return /^[a-z]+_[0-9A-Za-z]{1,27}$/
  return ANY_TEXT.includes(name) ? /^[^\p{Cc}\p{Cs}]{1,1024}$/u : /^[\x21-\x7e]{1,255}$/
}

function pathParam(http: HonoContext<Env>, name: string): string {
  const value = http.req.param(name) ?? ''
  // Reject malformed ids before they reach the database: callers sometimes paste secrets here, and databases log queries.
  if (!formOf(name).test(value)) throw new ApiError('resource_not_found', { params: { what: 'Resource not found' } })
  return value
}

/**
 * Reads and parses a body. Returns undefined if it is empty. This is the only place that checks the content type and
 * parses a body, so the two cannot disagree.
 * @throws ApiError unsupported_content_type, request_body_too_large, request_body_invalid, form_param_value_invalid
 */
async function readBody(request: Request, header: HeaderReader, type: 'json' | 'form'): Promise<unknown> {
  const bytes = await readBytes(request, header)
  if (bytes.length === 0) return undefined
  assertContentType(header, expected[type])
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch (cause) {
    throw new ApiError('request_body_invalid', { cause, action: 'Send the body as UTF-8.' })
  }
  return type === 'json' ? parseJson(text) : parseForm(text)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

async function readBytes(request: Request, header: HeaderReader): Promise<Uint8Array> {
  const declared = header('content-length')
  if (declared !== undefined) {
    // The HTTP parser ensures that a body has its declared length.
    if (Number(declared) > MAX_BODY_BYTES) throw tooLarge()
    return Number(declared) === 0 ? new Uint8Array() : new Uint8Array(await request.arrayBuffer())
  }
  if (!request.body) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function tooLarge(): ApiError {
  return new ApiError('request_body_too_large', { params: { limit: MAX_BODY_BYTES } })
}

function assertContentType(header: HeaderReader, wanted: string): void {
  const actual = header('content-type') ?? ''
  const encoding = header('content-encoding')
  const [type, ...parameters] = actual.toLowerCase().split(';')
  const plain = parameters.every(parameter => /^ ?charset="?utf-8"?$/.test(parameter))
  if (type !== wanted || !plain || (encoding !== undefined && encoding !== 'identity')) {
    const shown = encoding === undefined ? actual : `${actual} (${encoding})`
    throw new ApiError('unsupported_content_type', { params: { actual: shown || '(none)', expected: wanted } })
  }
}

function parseForm(text: string): Record<string, string> {
  if (text.split('&', MAX_FIELDS + 1).length > MAX_FIELDS) {
    throw new ApiError('request_body_invalid', { action: `Send at most ${MAX_FIELDS} fields.` })
  }
  const form: [string, string][] = []
  const seen = new Set<string>()
  for (const [name, value] of new URLSearchParams(text)) {
    if (seen.has(name)) throw invalidParam(name, `\`${name}\` is given twice.`)
    seen.add(name)
    form.push([name, plainText(name, value)])
  }
  return Object.fromEntries(form)
}

/** Checks that every database can store the text. @throws ApiError form_param_value_invalid */
function plainText(name: string, value: string): string {
  if (value.includes('\0') || value.includes('\uFFFD'))
    throw invalidParam(name, `\`${name}\` must be UTF-8 text without U+0000.`)
  return value
}

/** Creates a function that reads a query string: as lists where the schema has lists, otherwise as single values. */
function queryReader(schema: z.ZodType): (search: URLSearchParams) => Record<string, unknown> {
  const shape = schema instanceof z.ZodObject ? (schema.shape as Record<string, z.ZodType>) : {}
  const lists = new Set(Object.keys(shape).filter(name => isList(shape[name])))
  return search => {
    const query = new Map<string, string | string[]>()
    for (const [name, value] of search) {
      // Clerk's clients send their name and version in the query. Ignore these parameters.
      if (name.startsWith('_') && !Object.hasOwn(shape, name)) continue
      const text = plainText(name, value)
      const before = query.get(name)
      if (Array.isArray(before)) before.push(text)
      else if (before !== undefined) throw invalidParam(name, `\`${name}\` is given more than once.`)
      else query.set(name, lists.has(name) ? [text] : text)
    }
    return Object.fromEntries(query)
  }
}

function isList(schema: z.ZodType | undefined): boolean {
  if (schema instanceof z.ZodOptional) return isList(schema.unwrap() as z.ZodType)
  if (schema instanceof z.ZodPipe) return isList(schema.in as z.ZodType)
  return schema instanceof z.ZodArray
}

/**
 * Clerk's browser SDK sends PATCH, PUT and DELETE as POST with `_method` in the query, so that no request needs a
 * preflight. Only a POST can be overridden, and only to these methods, so a GET, a prefetch or an image cannot.
 */
const OVERRIDES = ['PATCH', 'PUT', 'DELETE']

/** Returns the internal path of an overridden request. No request can name such a path directly. */
export function overridePath(method: string, path: string): string {
  return `${ROOM}${method.toUpperCase()}${path}`
}

const ROOM = '/ '
const NOWHERE = '/'

/** Returns the method of a request, after any override. @param url with or without its origin */
export function requestedMethod(method: string, url: string): string {
  if (method !== 'POST' || !url.includes('_method=')) return method
  const named = URL.parse(url, 'http://here')?.searchParams.get('_method') ?? ''
  return OVERRIDES.includes(named) ? named : method
}

/** Whether a path is an internal path of overridden requests. */
export const isInRoom = (path: string): boolean => path.startsWith(ROOM)

/** Returns the path by which a request is routed. */
export function routedPath(request: Request): string {
  const path = getPath(request)
  // The path is decoded, so a request could have named an internal path with encoded characters.
  if (isInRoom(path)) return NOWHERE
  const method = requestedMethod(request.method, request.url)
  return method === request.method ? path : overridePath(method, path)
}

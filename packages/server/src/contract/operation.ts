import { z } from 'zod'
import type { ErrorCode } from './errors.ts'

/**
 * One endpoint, described once. The router, the validation, the OpenAPI documents and the SDK's wire types are all
 * made from this description.
 */
export interface Operation<
  Body extends z.ZodType = z.ZodType,
  Query extends z.ZodType = z.ZodType,
  Response extends z.ZodType = z.ZodType,
> {
  /** `CreateActorToken`: Clerk's operation id where Clerk has the operation. */
  id: string
  method: 'get' | 'post' | 'patch' | 'put' | 'delete'
  /** `/v1/actor_tokens/{actor_token_id}/revoke` */
  path: string
  tag: string
  summary: string
  description?: string
  /** Who may call: a secret key, the browser's client cookie (checked by the handler), or anyone. */
  auth: 'secret_key' | 'client' | 'none'
  /** What the audit log calls it. Present on everything that changes state; its refusals are recorded under it too. */
  action?: string
  /** Of a `client` operation: it can also be called without a client. */
  anonymous?: true
  /** Absent: no body is read. */
  body?: Body
  /** `json` unless told; browsers post forms. */
  bodyType?: 'json' | 'form'
  query?: Query
  response: Response
  /** 200 unless told. */
  status?: 200 | 303 | 307
  /** A person's browser goes there: it may be answered with a page, and refusals are pages to it. */
  page?: true
  /** Answers with server-sent events, for as long as the caller listens. */
  stream?: true
  /** Codes this operation can answer, beside those that any can. */
  errors?: readonly ErrorCode[]
  /** Makes something, and with an Idempotency-Key only once. */
  makes?: true
  /** Counted more strictly: what it asks for could be tried out. */
  redeems?: true
  /** Served however much else there is to do: it takes something back, or says how the server is and what it signs with. */
  urgent?: true
  /** True where Clerk has no such operation. */
  stagedoorOnly?: true
}

/** Keeps the exact types of a description. */
export function operation<B extends z.ZodType, Q extends z.ZodType, R extends z.ZodType>(
  description: Operation<B, Q, R>,
): Operation<B, Q, R> {
  return description
}

/** Unix time in milliseconds. */
export const Milliseconds = z.int().min(0).meta({ id: 'Milliseconds', description: 'Unix time in milliseconds.' })

/** An id of ours: prefix, underscore, 27 base62 characters. Callers may send any text; what is unknown is not found. */
export const Id = z.string().min(1).max(255)

/** A JSON object whose members are the caller's own. Kept as it is. */
export const JsonObject = z.custom<Record<string, unknown>>(
  value => typeof value === 'object' && value !== null && !Array.isArray(value),
  { error: 'object' },
)

/** The longest a list may be asked for at once. */
export const MAX_LIMIT = 500

const wholeNumber = (from: number, to: number) =>
  z
    .string()
    .regex(/^-?\d{1,16}$/, { error: `a whole number from ${from} to ${to}` })
    .transform(Number)
    .pipe(z.int().min(from).max(to))

export const limit = wholeNumber(1, MAX_LIMIT)
  .default(10)
  .meta({ type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: 10 })
export const offset = wholeNumber(0, 1_000_000_000)
  .default(0)
  .meta({ type: 'integer', minimum: 0, maximum: 1_000_000_000, default: 0 })
/** The latest time that a JavaScript Date can be. */
const MAX_TIME = 8_640_000_000_000_000
export const milliseconds = wholeNumber(0, MAX_TIME).meta({ type: 'integer', minimum: 0, maximum: MAX_TIME })

/** `true`, `false`, `1`, `0` in a query. */
export const flag = z
  .enum(['true', 'false', '1', '0'])
  .transform(text => text === 'true' || text === '1')
  .meta({ type: 'boolean' })

/** A query parameter that may be repeated: `user_id=a&user_id=b`. */
export const many = z.array(z.string().min(1).max(255)).max(500)

/** Parameters of every list. With `paginated=true` the answer is `{ data, total_count }` instead of the bare array. */
export const listQuery = { limit, offset, paginated: flag.default(false).meta({ type: 'boolean', default: false }) }

/** A position in a list: the `next_cursor` of a page. In lists that are ordered by id it is the id of the last row. */
export const cursorOf = (prefix: string) =>
  z.string().regex(new RegExp(`^${prefix}_[0-9A-Za-z]{1,27}$`), {
    error: `the \`next_cursor\` of the page before, or the id of its last row (\`${prefix}_…\`)`,
  })

/** An opaque position, in lists that are ordered by something else. */
export const opaqueCursor = z.string().min(1).max(4_096)

/**
 * The query of a list that is read page by page. A cursor names a position, not a row: it stays good when the row before
 * it is deleted or no longer matches the filters.
 */
export function pagedQuery<Filters extends z.ZodRawShape>(filters: Filters, cursor: z.ZodType<string, string>) {
  return z
    .strictObject({
      ...filters,
      ...listQuery,
      starting_after: cursor
        .optional()
        .describe(
          'Only what follows this position: the `next_cursor` of the page before. Rows that are added, end or are deleted between two pages shift nothing. Cannot be combined with an `offset`.',
        ),
      total_count: flag
        .default(true)
        .meta({ type: 'boolean', default: true })
        .describe('`false` leaves `total_count` out of the answer, so that nothing is counted.'),
    })
    .refine(isOnePosition, {
      path: ['offset'],
      params: { code: 'value' },
      error: '0 or left out together with `starting_after`',
    })
}

function isOnePosition(query: unknown): boolean {
  const { starting_after, offset } = query as { starting_after?: string; offset: number }
  return starting_after === undefined || offset === 0
}

/** A bare array; or with `paginated=true` an object that also has the count, and the position of the next page if there is one. */
export function listOf<T extends z.ZodType>(item: T) {
  return z.union([
    z.array(item),
    z.strictObject({
      data: z.array(item),
      total_count: z.int().min(0).optional().describe('Left out when asked with `total_count=false`.'),
      next_cursor: z.string().optional().describe('Send it as `starting_after`. Left out on the last page.'),
    }),
  ])
}

export const DeletedObject = z
  .strictObject({ object: z.string(), id: z.string(), deleted: z.literal(true) })
  .meta({ id: 'DeletedObject' })

/** `contract/` describes the HTTP API: operations, shapes, and errors, from which documents, SDK types and validation come. */

import { z } from 'zod'
import type { ErrorCode } from './errors.ts'

/** What a secret key may do. `everything` includes the others. */
export const RIGHTS = ['act', 'audit', 'policy', 'users', 'everything'] as const
export type Right = (typeof RIGHTS)[number]

/** What an operator of the console may do. */
export const ROLES = ['viewer', 'support', 'approver', 'admin'] as const
export type Role = (typeof ROLES)[number]

/** The form of error answers: Clerk's envelope, or the members of OAuth 2.0 (RFC 6749 §5.2). */
export type ErrorFormat = 'clerk' | 'oauth'

/**
 * Describes one endpoint. The router, the validation, the OpenAPI documents and the SDK's wire types are all made from
 * this description.
 */
export interface Operation<
  Body extends z.ZodType = z.ZodType,
  Query extends z.ZodType = z.ZodType,
  Response extends z.ZodType = z.ZodType,
  Path extends string = string,
> {
  /** `CreateActorToken`: Clerk's operation id where Clerk has the operation. */
  id: string
  method: 'get' | 'post' | 'patch' | 'put' | 'delete'
  /** `/v1/actor_tokens/{actor_token_id}/revoke` */
  path: Path
  tag: string
  summary: string
  description?: string
  /**
   * Who may call: a secret key, the browser's client cookie (checked by the handler), anyone, an operator of the console,
   * or any page of the console.
   */
  auth: 'secret_key' | 'client' | 'none' | 'operator' | 'console'
  /** The setting that lets anyone call it without a key. */
  publicIf?: 'audit_public'
  /** The rights of which a secret key needs one. Absent or empty: only keys with `everything` may call. */
  rights?: readonly Right[]
  /** The roles of which an operator of the console needs one. Absent or empty: no operator may call. */
  roles?: readonly Role[]
  /**
   * The roles that may call it only about what is their own: acting sessions in which they are the actor, and their sessions
   * in the console.
   */
  own?: readonly Role[]
  /** For lists: the filter that the server sets for these roles. */
  ownFilter?: 'operator_id' | 'actor_sub'
  /** Whether an operator must have proved who they are in the last 5 minutes. It can depend on the body. */
  stepUp?: true | ((body: never) => boolean)
  /** The operator who calls becomes the `actor` of the body. `except`: the roles that may name another one. */
  actorIsOperator?: { except: readonly Role[] }
  /** The form of its errors. Default: `clerk`. */
  errorFormat?: ErrorFormat
  /** The action in the audit log. Set on every operation that changes state; its refusals are logged under it too. */
  action?: string
  /** A `client` operation that can also be called without a client. */
  anonymous?: true
  /**
   * A `client` operation that changes state, and that is also for actors while they act as a user. Every other one is
   * refused in an acting session.
   */
  whileActing?: true
  /** If absent, the server does not read a body. */
  body?: Body
  /** Default `json`; browsers post forms. */
  bodyType?: 'json' | 'form'
  query?: Query
  response: Response
  /** Default 200. */
  status?: 200 | 303 | 307
  /** Answers with a text instead, for `Accept: text/plain`. */
  alsoText?: true
  /** The answer is 202, with the same form, while there is nothing to answer with yet. */
  mayBePending?: true
  /** A person opens this URL in a browser: the answer may be a page, and browsers get errors as pages. */
  page?: true
  /** The content types of an answer that is a file instead of JSON. */
  downloads?: readonly string[]
  /** Answers with server-sent events until the caller disconnects. */
  stream?: true
  /** Error codes of this operation, in addition to those that every operation has. */
  errors?: readonly ErrorCode[]
  /** Creates something, and supports Idempotency-Key so that a retry creates nothing more. */
  idempotent?: true
  /** Has a stricter rate limit, because callers could guess tickets. */
  rateLimit?: 'redeem'
  /** Served even under overload: it revokes something, or returns the server's health or public keys. */
  neverShed?: true
  /** True where Clerk has no such operation. */
  stagedoorOnly?: true
}

/** Returns the description unchanged, with its exact types. */
export function operation<B extends z.ZodType, Q extends z.ZodType, R extends z.ZodType, const P extends string>(
  description: Operation<B, Q, R, P>,
): Operation<B, Q, R, P> {
  return description
}

/** Whether a browser may call an operation only in a session of the user's own. */
export function isForUsersOnly({
  auth,
  method,
  action,
  whileActing,
}: Pick<Operation, 'auth' | 'method' | 'action' | 'whileActing'>): boolean {
  return auth === 'client' && (method !== 'get' || action !== undefined) && !whileActing
}

/** The names of the parameters in a path: `'user_id'` for `/v1/users/{user_id}`. */
export type ParamsOf<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? Name | ParamsOf<Rest>
  : never

/** Unix time in milliseconds. */
export const Milliseconds = z.int().min(0).meta({ id: 'Milliseconds', description: 'Unix time in milliseconds.' })

/**
 * A Stagedoor id: prefix, underscore, 27 base62 characters. The schema accepts any text; an unknown id is answered as
 * not found.
 */
export const Id = z.string().min(1).max(255)

/** A JSON object whose members are the caller's own. Stored unchanged. */
export const JsonObject = z.custom<Record<string, unknown>>(
  value => typeof value === 'object' && value !== null && !Array.isArray(value),
  { error: 'object' },
)

/** Maximum rows per page of a list. */
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
/** Returns the parameter with the number of rows to skip. The server reads past each of them, so it has a maximum. */
export const offsetUpTo = (maximum: number) =>
  wholeNumber(0, Number.MAX_SAFE_INTEGER)
    .refine(rows => rows <= maximum, {
      params: { code: 'value' },
      error: `at most ${maximum}: to read further, use \`starting_after\``,
    })
    .default(0)
    .meta({ type: 'integer', minimum: 0, maximum, default: 0 })
    .describe('Rows to skip. To read further than that, use `starting_after`.')
export const offset = offsetUpTo(10_000)
/** The latest time that a JavaScript Date can represent, in Unix ms. */
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

/** Schema of a position in a list that is ordered by id: the `next_cursor` of a page, which is the id of its last row. */
export const cursorOf = (prefix: string) =>
  z.string().regex(new RegExp(`^${prefix}_[0-9A-Za-z]{1,27}$`), {
    error: `the \`next_cursor\` of the previous page, or the id of its last row (\`${prefix}_…\`)`,
  })

/** Schema of an opaque position, for lists that are not ordered by id. */
export const opaqueCursor = z.string().min(1).max(4_096)

/**
 * The query of a list that is read page by page. A cursor is a position, not a row: it stays valid when the row at that
 * position is deleted or no longer matches the filters.
 */
export function pagedQuery<Filters extends z.ZodRawShape>(filters: Filters, cursor: z.ZodType<string, string>) {
  return z
    .strictObject({
      ...listQuery,
      ...filters,
      starting_after: cursor
        .optional()
        .describe(
          'Return only rows after this position: the `next_cursor` of the previous page. Rows that are added, changed or deleted between two requests do not shift the pages. Cannot be combined with `offset`.',
        ),
      total_count: flag
        .default(true)
        .meta({ type: 'boolean', default: true })
        .describe('`false` omits `total_count` from the answer, so the server does not count rows.'),
    })
    .refine(isOnePosition, {
      path: ['offset'],
      params: { code: 'value' },
      error: '0 or omitted when `starting_after` is given',
    })
}

function isOnePosition(query: unknown): boolean {
  const { starting_after, offset } = query as { starting_after?: string; offset: number }
  return starting_after === undefined || offset === 0
}

/** Says that a count is not exact. */
export const totalCountIsMinimum = z
  .literal(true)
  .optional()
  .describe('Present if there can be more rows: the server stopped counting at `total_count`.')

/** An array; with `paginated=true` an object that also has the count and, if there are more rows, the position of the next page. */
export function listOf<T extends z.ZodType>(item: T) {
  return z.union([
    z.array(item),
    z.strictObject({
      data: z.array(item),
      total_count: z
        .int()
        .min(0)
        .optional()
        .describe('Exact up to 5,000 rows. Omitted if the request has `total_count=false`.'),
      total_count_is_minimum: totalCountIsMinimum,
      next_cursor: z
        .string()
        .optional()
        .describe(
          'Send it as `starting_after` to get the next page. Omitted on the last page. If few rows match several filters, a page before the last one can have fewer rows than `limit`, or none.',
        ),
    }),
  ])
}

export const DeletedObject = z
  .strictObject({ object: z.string(), id: z.string(), deleted: z.literal(true) })
  .meta({ id: 'DeletedObject' })

import type { ActorRecord, ActorTokenRecord, SessionRecord } from './records.ts'

/** What lists are asked for, and what they return. */

export interface Page {
  limit: number
  offset: number
  /** Only rows after this position: the `next` of the previous page. */
  starting_after?: string | undefined
}

export interface Found<T> {
  rows: T[]
  /** Counted only if `filter.counted` is set, up to a maximum. */
  total: number
  /** Whether `total` is only a minimum: the server stopped counting. */
  isMinimum?: boolean | undefined
  /** Where the next page begins; undefined on the last page. */
  next?: string | undefined
  /** Whether the page has fewer rows than its limit although it is not the last one: the server stopped reading. */
  isShort?: boolean | undefined
}

/** A position in a list of users: the value of the ordering column (see `UserOrder`), and the id. */
export interface UserPosition {
  value: string | number | null
  id: string
}

/** The order of a list of users. Equal values are ordered by id, in the same direction. */
export interface UserOrder {
  by:
    | 'created_at'
    | 'updated_at'
    | 'first_name'
    | 'last_name'
    | 'username'
    | 'email_address'
    | 'phone_number'
    | 'last_active_at'
    | 'last_sign_in_at'
  descending: boolean
}

/** A number of rows. */
export interface Counted {
  total: number
  /** Whether there can be more: the server stopped counting. */
  isMinimum: boolean
}

/** A list whose rows can be counted. */
export interface Countable {
  counted?: boolean | undefined
}

export interface ActorTokenFilter extends Countable {
  kind: ActorTokenRecord['kind']
  status?: ActorTokenRecord['status'] | undefined
  user_id?: string | undefined
  actor_sub?: string | undefined
}

export interface ActorFilter extends Countable {
  kind?: ActorRecord['kind'] | undefined
  disabled?: boolean | undefined
}

export interface SessionFilter extends Countable {
  client_id?: string | undefined
  user_id?: string | undefined
  actor_sub?: string | undefined
  status?: string | undefined
}

export interface ActingFilter extends Countable {
  actor_sub?: string | undefined
  user_id?: string | undefined
  access?: SessionRecord['access'] | undefined
}

export interface AuditFilter extends Countable {
  action?: string | undefined
  outcome?: string | undefined
  code?: string | undefined
  user_id?: string | undefined
  session_id?: string | undefined
  actor_token_id?: string | undefined
  actor_sub?: string | undefined
  principal_id?: string | undefined
  principal_type?: string | undefined
  trace_id?: string | undefined
  after?: number | undefined
  before?: number | undefined
  before_seq?: number | undefined
  /** Only up to the event with this number in the order of the list, inclusive. */
  last_seq?: number | undefined
}

export interface UserPage extends Omit<Page, 'starting_after'> {
  order: UserOrder
  after?: UserPosition | undefined
}

type Span = 'last_active_at' | 'last_sign_in_at' | 'created_at'

export type UserFilter = {
  [K in 'user_id' | 'email_address' | 'phone_number' | 'external_id' | 'username']?: string[] | undefined
} & {
  [K in 'query' | 'email_address_query' | 'phone_number_query' | 'username_query' | 'name_query']?: string | undefined
} & { [K in `${Span}_before` | `${Span}_after`]?: number | undefined } & {
  last_active_at_since?: number | undefined
  banned?: boolean | undefined
  locked?: boolean | undefined
  protected?: boolean | undefined
}

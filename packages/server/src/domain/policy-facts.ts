import { ApiError, type ErrorAbout, invalidParam } from '../contract/errors.ts'
import type { Access, ActingFacts, AgentFacts, Facts, OperatorFacts, TimeUse, UserFacts } from './policy-engine.ts'
import type { Limits, UserRecord } from './records.ts'
import type { DecisionRow } from './store.ts'

/** What a decision is computed from: built from records, without a store or a clock. */

/** The part of `private_metadata.stagedoor` that policies see. */
export interface UserMetadata {
  protected: boolean
  operator: boolean
  level: number
  teams: readonly string[]
  tags: readonly string[]
  organizations: readonly string[]
}

const NO_METADATA: UserMetadata = {
  protected: false,
  operator: false,
  level: 0,
  teams: [],
  tags: [],
  organizations: [],
}

/** A row of the registry of actors. */
export interface RegisteredActor {
  kind: 'operator' | 'agent'
  teams: readonly string[]
  organizations: readonly string[]
  level: number
  disabled: boolean
}

/** Returns the groups that a group is directly part of. */
export type ParentsOf = (name: string) => readonly string[]

/** The columns of a user that are facts. */
export type UserColumns = Pick<UserRecord, 'id' | 'external_id' | 'private_metadata' | 'banned_at' | 'locked_at'>

export const NO_PARENTS: ParentsOf = () => []

/**
 * Returns what is wrong with the `stagedoor` member of private metadata, or undefined if nothing is. For the check of a write.
 *
 *     metadataProblem({ level: 'high' })   // 'stagedoor.level must be a whole number'
 */
export function metadataProblem(stagedoor: unknown): string | undefined {
  if (stagedoor === undefined) return undefined
  if (typeof stagedoor !== 'object' || stagedoor === null || Array.isArray(stagedoor)) {
    return 'stagedoor must be an object'
  }
  for (const [name, value] of Object.entries(stagedoor)) {
    if (!Object.hasOwn(NO_METADATA, name)) return `stagedoor.${name} is unknown`
    const sample = NO_METADATA[name as keyof UserMetadata]
    if (typeof sample === 'boolean' && typeof value !== 'boolean') return `stagedoor.${name} must be true or false`
    if (typeof sample === 'number' && !Number.isSafeInteger(value)) return `stagedoor.${name} must be a whole number`
    const isList = Array.isArray(value) && value.every(each => typeof each === 'string' && each !== '')
    if (typeof sample === 'object' && !isList) return `stagedoor.${name} must be a list of texts`
  }
  return undefined
}

/** Returns the metadata that policies see. Undefined if it is malformed, which a write would have rejected. */
function metadataOf(user: UserColumns): UserMetadata | undefined {
  const { stagedoor } = JSON.parse(user.private_metadata) as { stagedoor?: object }
  return metadataProblem(stagedoor) === undefined ? { ...NO_METADATA, ...stagedoor } : undefined
}

/**
 * Returns the facts of a user. Malformed metadata makes the user protected, because it may have been meant to.
 *
 *     userFacts(record, { registered: false })   // { id: 'user_1', protected: false, level: 0, … }
 *
 * @param about.registered whether the registry of actors has this user as an operator
 * @param about.parentsOf the parents of a tag
 */
export function userFacts(user: UserColumns, about: { registered?: boolean; parentsOf?: ParentsOf } = {}): UserFacts {
  const metadata = metadataOf(user) ?? { ...NO_METADATA, protected: true }
  return {
    id: user.id,
    protected: metadata.protected,
    operator: metadata.operator || about.registered === true,
    blocked: isBlocked(user),
    level: metadata.level,
    ...(user.external_id === null ? {} : { external_id: user.external_id }),
    tags: withParents(metadata.tags, about.parentsOf),
    organizations: metadata.organizations,
  }
}

function isBlocked(user: UserColumns): boolean {
  return user.banned_at !== null || user.locked_at !== null
}

/** What is known about an actor. */
export interface KnownActor {
  sub: string
  /** `kind` in the actor payload. It counts only for actors that are neither registered nor users. */
  claimed?: unknown
  row?: RegisteredActor
  /** The operator's own user: the one that the registry names, otherwise the user whose id is the `sub`. */
  user?: UserColumns
  /** The operator who is responsible for an agent. */
  owner?: OperatorFacts
  /** The parents of a team, and of a tag. */
  teamParents?: ParentsOf
  tagParents?: ParentsOf
}

/**
 * Returns the facts of an actor: from the registry, otherwise from the user whose id is the `sub`, otherwise only the `sub`.
 *
 *     actorFacts({ sub: 'olivia@support', row: { kind: 'operator', teams: ['support'], … } })
 */
export function actorFacts(actor: KnownActor): OperatorFacts | AgentFacts {
  const { sub, row, user } = actor
  const metadata = row === undefined && user !== undefined ? (metadataOf(user) ?? NO_METADATA) : undefined
  const source = row ?? metadata ?? NO_METADATA
  const common = {
    sub,
    registered: row !== undefined || user !== undefined,
    blocked: row?.disabled === true || (user !== undefined && isBlocked(user)),
    level: source.level,
    teams: withParents(source.teams, actor.teamParents),
    organizations: source.organizations,
  }
  // A user is a person, even if the payload says `agent`: else an operator could escape the rules for operators.
  const kind = row?.kind ?? (actor.claimed === 'agent' && user === undefined ? 'agent' : 'operator')
  if (kind === 'operator') {
    const about = { registered: row !== undefined, ...(actor.tagParents && { parentsOf: actor.tagParents }) }
    return { ...common, kind, ...(user && { user: userFacts(user, about) }) }
  }
  return { ...common, kind, ...(actor.owner && !actor.owner.blocked && { owner: actor.owner }) }
}

/** Returns groups, and all groups that these are part of. A cycle does no harm. */
export function withParents(names: readonly string[], parentsOf: ParentsOf = NO_PARENTS): string[] {
  const all = new Set(names)
  for (const name of all) for (const parent of parentsOf(name)) all.add(parent)
  return [...all]
}

/**
 * Returns the length of the chain of actors in a payload: 1, and 1 for each nested `act`.
 *
 *     chainLength({ sub: 'agent', act: { sub: 'olivia' } })   // 2
 */
export function chainLength(actor: object): number {
  let length = 1
  for (let next = memberOf(actor, 'act'); typeof next === 'object' && next !== null; next = memberOf(next, 'act')) {
    length += 1
  }
  return length
}

const memberOf = (value: object, name: string): unknown =>
  Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined

/**
 * Returns the reason as policies see it, or undefined if none was given. Clerk's clients can send a reason only inside the
 * actor payload.
 *
 *     reasonOf({ ticket: 'T-17' }, { sub: 'olivia' })            // { ticket: 'T-17' }
 *     reasonOf({}, { sub: 'olivia', reason: 'Ticket 17' })       // {}
 */
export function reasonOf(
  request: {
    reason?: string | null | undefined
    reason_category?: string | null | undefined
    ticket?: string | null | undefined
  },
  actor: object,
): { category?: string; ticket?: string } | undefined {
  const find = (name: 'reason' | 'reason_category' | 'ticket') =>
    [request[name], memberOf(actor, name)].find(value => typeof value === 'string' && value.trim() !== '')
  const [reason, category, ticket] = [find('reason'), find('reason_category'), find('ticket')] as (string | undefined)[]
  if ((reason ?? category ?? ticket) === undefined) return undefined
  return { ...(category !== undefined && { category }), ...(ticket !== undefined && { ticket }) }
}

/**
 * Returns facts of an ordinary request in which nothing is remarkable: a registered operator of level 0 in development, for
 * half an hour, on a Monday at noon. Tests of policies start from them.
 */
export function neutralFacts(): Facts {
  return {
    principal: {
      kind: 'operator',
      sub: 'operator',
      registered: true,
      blocked: false,
      level: 0,
      teams: [],
      organizations: [],
    },
    resource: {
      id: 'user',
      protected: false,
      operator: false,
      blocked: false,
      level: 0,
      tags: [],
      organizations: [],
    },
    context: neutralActing(),
  }
}

/** Monday, 2026-01-05, 12:00 in UTC. */
const NEUTRAL_NOW = Date.UTC(2026, 0, 5, 12)

function neutralActing(): ActingFacts {
  return {
    environment: 'development',
    key: 'default',
    duration: 1_800,
    depth: 1,
    now: NEUTRAL_NOW,
    time: localTime(NEUTRAL_NOW, 'UTC'),
    ...NEXT_DESIGN,
  }
}

/** Facts that nothing provides yet. */
export const NEXT_DESIGN: Pick<
  ActingFacts,
  'approvals' | 'approver_teams' | 'consent' | 'break_glass' | 'open_reviews'
> = { approvals: 0, approver_teams: [], consent: false, break_glass: false, open_reviews: 0 }

const MINUTE = 60_000
const DAY = 86_400_000
/** Clocks are changed at multiples of 15 minutes. */
const STEP = 15 * MINUTE

/**
 * Returns the local time as policies see it.
 *
 *     localTime(Date.UTC(2026, 2, 29, 7), 'Europe/Berlin')   // { weekday: 7, minute: 540 }
 *
 * @param now Unix time in ms
 */
export function localTime(now: number, zone: string): { weekday: number; minute: number } {
  const wall = now + offsetAt(now, zone)
  const day = Math.floor(wall / DAY)
  // 1970-01-01 was a Thursday.
  return { weekday: ((((day + 3) % 7) + 7) % 7) + 1, minute: Math.floor((wall - day * DAY) / MINUTE) }
}

/**
 * Returns the time at which a decision with the same facts can change, in Unix ms. Null: time does not matter.
 *
 *     validUntil({ minutes: [540, 1080], weekday: true, instants: [], every_minute: false }, now, 'Europe/Berlin')
 */
export function validUntil(use: TimeUse, now: number, zone: string): number | null {
  const candidates = use.instants.filter(instant => instant > now).slice(0, 1)
  if (use.every_minute || use.minutes.length > 0 || use.weekday) {
    const start = now + offsetAt(now, zone)
    const midnight = Math.floor(start / DAY) * DAY
    // Midnight counts too: there `minute` becomes 0, and the weekday changes.
    const times = [...use.minutes.map(minute => midnight + minute * MINUTE), midnight + DAY]
    if (use.every_minute) times.push((Math.floor(start / MINUTE) + 1) * MINUTE)
    const next = Math.min(...times.filter(time => time > start))
    candidates.push(beforeClockChange(now, now + next - start, zone))
  }
  return candidates.length === 0 ? null : Math.min(...candidates)
}

/** Returns `until`, or the moment before it at which clocks are changed: local times after that are different. */
function beforeClockChange(from: number, until: number, zone: string): number {
  const offset = offsetAt(from, zone)
  // Clocks are changed months apart, so equal offsets mean that there was no change.
  if (offsetAt(until, zone) === offset) return until
  let time = (Math.floor(from / STEP) + 1) * STEP
  while (time < until && offsetAt(time, zone) === offset) time += STEP
  return Math.min(time, until)
}

const formats = new Map<string, Intl.DateTimeFormat>()
/** Offsets by zone and quarter of an hour: many decisions ask about the same ones. */
const offsets = new Map<string, number>()
const MAX_OFFSETS = 200

/** Returns local time minus UTC, in ms. */
function offsetAt(time: number, zone: string): number {
  if (zone === 'UTC') return 0
  const step = Math.floor(time / STEP)
  const key = `${zone} ${step}`
  const known = offsets.get(key)
  if (known !== undefined) return known
  const offset = readOffset(step * STEP, zone)
  if (offsets.size >= MAX_OFFSETS) offsets.clear()
  offsets.set(key, offset)
  return offset
}

function readOffset(time: number, zone: string): number {
  let format = formats.get(zone)
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
    formats.set(zone, format)
  }
  const part = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, Number(value)]))
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part
  return Date.UTC(year, month - 1, day, hour, minute, second) - time
}

/** The limits of everything that has none. */
export const UNLIMITED: Limits = { access: 'write', scopes: null }

/** Returns the limits that a request asks for, as they are stored. */
export function limitsOf(
  { settings }: { settings: { default_access: Access } },
  input: { access?: Access | undefined; scopes?: readonly string[] | undefined },
): Limits {
  const { access = settings.default_access, scopes } = input
  return { access, scopes: scopes === undefined ? null : JSON.stringify([...scopes].sort()) }
}

/** Returns the scopes of a token or session; null if it is unrestricted. */
export function scopesOf({ scopes }: Limits): string[] | null {
  return scopes === null ? null : JSON.parse(scopes)
}

/**
 * Returns the claim `scope` (RFC 8693 §4.2): the access, then the scopes. Null if nothing is limited.
 *
 *     scopeClaim({ access: 'write', scopes: '["invoices:read","invoices:send"]' })   // 'act:write invoices:read invoices:send'
 */
export function scopeClaim(limits: Limits): string | null {
  if (limits.access === 'write' && limits.scopes === null) return null
  return [`act:${limits.access}`, ...(scopesOf(limits) ?? [])].join(' ')
}

/** Who gets a session or a token: a browser at an origin, or a backend and what it says that it understands. */
export interface Recipient {
  origin?: string | undefined
  understands?: readonly string[] | undefined
}

/** Whether a recipient may get a session or token with these limits. Only an app that applies the claim `scope` may. */
export function isUnderstoodBy(
  { settings }: { settings: { appliesScope: (origin: string) => boolean } },
  limits: Limits,
  recipient: Recipient,
): boolean {
  if (scopeClaim(limits) === null || recipient.understands?.includes('scope')) return true
  return recipient.origin !== undefined && settings.appliesScope(recipient.origin)
}

/** Returns the error for a recipient that does not understand the limits. */
export function scopeNotUnderstood({ origin }: Recipient, about: ErrorAbout): ApiError {
  return new ApiError('scope_not_understood', {
    about,
    ...(origin === undefined
      ? {}
      : { action: `If the app at ${origin} applies the claim \`scope\`, add that origin to STAGEDOOR_SCOPE_ORIGINS.` }),
  })
}

/** Maximum number of people whose facts are kept, and for how long, in ms. */
const MAX_READS = 1_000
const READ_MS = 60_000
/** Maximum length of a user's metadata in a kept row. */
const MAX_METADATA = 4_096

/**
 * What decisions of the last minute read about a user and an actor. A token is redeemed soon after it was created, and
 * the decision is about the same two. A row can be out of date, so it only serves callers whose write checks the versions.
 */
export class RecentReads {
  readonly #rows = new Map<string, { row: DecisionRow; at: number }>()
  #policyVersion = -1

  /** Keeps what was read at this time, Unix ms. */
  set(people: { user_id: string; actor_sub: string }, row: DecisionRow, at: number): void {
    this.#policyVersion = row.policy_version
    const { 'users private_metadata': user, 'own private_metadata': own } = row
    if ((user?.length ?? 0) + (own?.length ?? 0) > MAX_METADATA) return
    const key = keyOf(people)
    this.#rows.delete(key)
    const [oldest] = this.#rows.keys()
    if (this.#rows.size >= MAX_READS && oldest !== undefined) this.#rows.delete(oldest)
    this.#rows.set(key, { row, at })
  }

  /** Returns what was read in the last minute under the policy that was last seen in force; undefined if there is nothing. */
  get(people: { user_id: string; actor_sub: string }, now: number): DecisionRow | undefined {
    const key = keyOf(people)
    const read = this.#rows.get(key)
    if (read === undefined) return undefined
    const age = now - read.at
    if (age >= 0 && age < READ_MS && read.row.policy_version === this.#policyVersion) return read.row
    this.#rows.delete(key)
    return undefined
  }
}

const keyOf = ({ user_id, actor_sub }: { user_id: string; actor_sub: string }) => `${user_id} ${actor_sub}`

/** Encodes the actor payload. Every session token contains it, and the cookie of that token has at most 4,096 bytes. */
export function actorText(actor: object, limit: number): string {
  const text = JSON.stringify(actor)
  const bytes = Buffer.byteLength(text)
  if (bytes > limit) {
    throw invalidParam(
      'actor',
      `\`actor\` is ${bytes} bytes as JSON and at most ${limit} are allowed: every session token contains it and must fit into a cookie. Keep only identifiers in it, and store the rest elsewhere.`,
    )
  }
  return text
}

/** Maximum size of an actor payload and the claim `scope` together: the token must fit into a cookie of 4,096 bytes. */
const MAX_ACTING_BYTES = 2_434

/** @throws ApiError form_param_value_invalid */
export function assertFitsCookie(actor: string, scope: string | null): void {
  if (scope === null) return
  const bytes = Buffer.byteLength(actor) + `,"scope":"${scope}"`.length
  if (bytes <= MAX_ACTING_BYTES) return
  throw invalidParam(
    'scopes',
    `\`actor\` and \`scopes\` are ${bytes} bytes together and at most ${MAX_ACTING_BYTES} are allowed: every session token contains them and must fit into a cookie.`,
  )
}

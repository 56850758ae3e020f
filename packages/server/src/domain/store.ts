import type { Clock } from './context.ts'
import type {
  AuditRecord,
  ClientRecord,
  EndedStatus,
  IdempotencyKeyRecord,
  IdentifierRecord,
  JwtTemplateRecord,
  NotBeforeRecord,
  RefusedRequestsRecord,
  RevokedSession,
  SecretKeyRecord,
  SessionRecord,
  SigningKeyRecord,
  TicketRecord,
  UserRecord,
  UserWithIdentifiers,
} from './records.ts'

/**
 * The port to the database. It speaks in transitions, not rows: every change is one conditional statement that decides
 * by itself, in one transaction with its audit event; `undefined` or `false` back means somebody else was first, it is
 * too late, or there is no such thing. The caller then reads, only to choose the words of the refusal. Whether something
 * is in time is decided by the clock of the database at the moment the statement runs, not by the caller's.
 */
export interface Store {
  tickets: {
    /** Adds the ticket if its user is there and neither banned nor locked, nor its actor if that is a user of ours. */
    insert(ticket: TicketRecord, event: AuditRecord, once?: IdempotencyKeyRecord): Promise<boolean>
    find(id: string): Promise<TicketRecord | undefined>
    list(filter: TicketFilter, page: Page): Promise<Found<TicketRecord>>
    /** pending → revoked. */
    revoke(id: string, kind: TicketRecord['kind'], event: AuditRecord): Promise<TicketRecord | undefined>
    /** pending → accepted, and the session begins, if the ticket is in time and its user may be signed in. */
    accept(acceptance: Acceptance, once?: IdempotencyKeyRecord): Promise<boolean>
    /** Remembers which browser confirmed that it goes on with a pending ticket. */
    confirm(id: string, tokenHash: string): Promise<void>
    /** Remembers that a pending ticket was found too late. */
    noteExpired(id: string): Promise<void>
    /** The same for any whose time is over. @returns how many */
    noteOverdue(limit: number): Promise<number>
  }
  sessions: {
    /** Begins a session without a ticket, if its user may be signed in. */
    insert(
      session: SessionRecord,
      client: ClientRecord,
      event: AuditRecord,
      once?: IdempotencyKeyRecord,
    ): Promise<boolean>
    find(id: string): Promise<SessionRecord | undefined>
    /** Everything a mint decides by, in one read. */
    findForMint(id: string): Promise<MintFacts | undefined>
    list(filter: SessionFilter, page: Page): Promise<Found<SessionRecord>>
    listOfClient(clientId: string): Promise<SessionRecord[]>
    /** active → one of the ended states. */
    finish(id: string, status: EndedStatus, event: AuditRecord): Promise<SessionRecord | undefined>
    /** active → expired or abandoned, for all whose time has come. */
    finishOverdue(limit: number, event: EventOf<SessionRecord>): Promise<number>
    /** Writes last activity; it only ever moves forward. */
    noteActivity(activity: { id: string; at: number }[]): Promise<void>
  }
  clients: {
    find(id: string): Promise<ClientRecord | undefined>
    /** Makes an active session of the client its selected one. */
    select(id: string, sessionId: string, event: AuditRecord): Promise<boolean>
    /** Gives a browser a new token that shows the one its last sign-in replaced. */
    renew(id: string, tokenHash: string, shownHash: string, event: AuditRecord): Promise<boolean>
    /** The token that the last sign-in replaced counts no more, if the current one is still this. */
    forgetPreviousToken(id: string, tokenHash: string): Promise<void>
  }
  users: {
    /** Fails with `Taken` where an identifier, username or external id is another user's. */
    insert(
      user: UserRecord,
      identifiers: IdentifierRecord[],
      event: AuditRecord,
      once?: IdempotencyKeyRecord,
    ): Promise<void>
    find(id: string): Promise<UserWithIdentifiers | undefined>
    /** What is known of an actor: whether it is this user, and whether it is a stored user who is banned or locked. */
    findActor(actorSub: string, userId: string): Promise<{ is_user: boolean; is_blocked: boolean }>
    /** Users without the value that orders the list come first, or last if it is descending. */
    list(filter: UserFilter & Counted, page: UserPage): Promise<Found<UserWithIdentifiers>>
    /** Where a user is in a list of this order. */
    position(id: string, by: UserOrder['by']): Promise<UserPosition | undefined>
    count(filter: UserFilter): Promise<number>
    /** Changes columns; with `unless`, only while those columns still hold these values. */
    update(id: string, change: Partial<UserRecord>, event: AuditRecord, unless?: Partial<UserRecord>): Promise<boolean>
    /** Bans, or deletes, and ends all that the user is the subject or the actor of. */
    expel(id: string, how: 'ban' | 'delete', event: AuditRecord, events: ExpulsionEvents): Promise<boolean>
  }
  jwtTemplates: {
    /** Fails with `Taken` where the name is another template's; so does `update`. */
    insert(template: JwtTemplateRecord, event: AuditRecord, once?: IdempotencyKeyRecord): Promise<void>
    find(id: string): Promise<JwtTemplateRecord | undefined>
    findByName(name: string): Promise<JwtTemplateRecord | undefined>
    list(filter: Counted, page: Page): Promise<Found<JwtTemplateRecord>>
    update(id: string, change: Partial<JwtTemplateRecord>, event: AuditRecord): Promise<JwtTemplateRecord | undefined>
    delete(id: string, event: AuditRecord): Promise<boolean>
  }
  secretKeys: {
    /** Fails with `Taken` where the key is there already. */
    insert(key: SecretKeyRecord, event: AuditRecord): Promise<void>
    findByHash(hash: string): Promise<SecretKeyRecord | undefined>
    list(): Promise<SecretKeyRecord[]>
    revoke(id: string, event: AuditRecord): Promise<SecretKeyRecord | undefined>
  }
  signingKeys: {
    /** All but removed ones' private parts, and the number that changes with every change of any. */
    keyring(): Promise<{ version: number; keys: SigningKeyRecord[] }>
    /** Changes several keys at once, if nobody changed any since `version`. */
    change(version: number, change: SigningKeyChange, event: AuditRecord): Promise<boolean>
    noteLongLived(id: string, until: number): Promise<void>
  }
  revocations: {
    /** Revokes at one stroke all that was written up to now. @returns up to when, Unix ms */
    stamp(scope: NotBeforeRecord['scope'], subject: string, event: AuditRecord): Promise<number>
    /** Marks some of the rows that a stamp has revoked. @returns how many; nothing was left if none */
    mark(stamp: NotBeforeRecord, limit: number, events: ExpulsionEvents): Promise<{ tickets: number; sessions: number }>
    /** Whether there has ever been a token or a session with this actor. */
    isKnownActor(sub: string): Promise<boolean>
    /** Actors of the tokens and sessions that there are. */
    actorSubs(limit: number): Promise<string[]>
    /** Every row of a stamp is marked. */
    noteMarked(stamp: NotBeforeRecord): Promise<void>
    stamps(filter: { since?: number; unmarked?: boolean }): Promise<NotBeforeRecord[]>
    /** Sessions that ended before their time, in the order of when, from behind a place in that order. */
    endedSince(updatedAt: number, id: string, limit: number): Promise<RevokedSession[]>
    /** Calls back soon after something was revoked, wherever; now and then in vain. @returns what stops it */
    onChange(listener: () => void): () => void
  }
  /** Keys are stored by the verbs that make something: `insert(…, once)` fails with `MadeBefore`. */
  idempotencyKeys: {
    /** A key that is still remembered. */
    find(key: Pick<IdempotencyKeyRecord, 'owner' | 'operation' | 'key_hash'>): Promise<IdempotencyKeyRecord | undefined>
    /** Deletes some of those whose time is over. @returns how many */
    forgetOld(limit: number): Promise<number>
  }
  /** Deletes what is long over. What is alive, or was not seen to end, stays; so does every audit event. */
  purge: {
    /** Some of it: so many sessions, so many tickets, so many stamps at most. `left`: there was as much as that. */
    some(over: LongOver, limit: number): Promise<Purged & { left: boolean }>
    /** How much there is. Reads all of it. */
    count(over: LongOver): Promise<Omit<Purged, 'clients'>>
  }
  audit: {
    append(event: AuditRecord): Promise<void>
    /**
     * Appends a refusal unless its principal, or its ticket at the request of browsers, has the maximum number of them.
     * @param bound.since refusals before this time do not count, Unix ms
     */
    appendRefusal(event: AuditRecord, bound: { most: number; since: number }): Promise<boolean>
    list(filter: AuditFilter, page: Page): Promise<Found<AuditRecord & { seq: number }>>
  }
  refusedRequests: {
    add(counts: RefusedRequestsRecord[]): Promise<void>
    list(filter: Counted, page: Page): Promise<Found<RefusedRequestsRecord>>
    /** Deletes some of the counts of minutes before a time. @returns how many */
    deleteBefore(minute: number, limit: number): Promise<number>
  }
  /** The clock by which it is decided what has expired. */
  clock: Clock
  /** The one instance of this database, made at first use. */
  instance(create: () => { id: string; created_at: number }): Promise<{ id: string; created_at: number }>
  /** Resolves if the database answers. */
  ping(): Promise<void>
  /** How many wait for a connection to the database, and how long the first of them has, ms. */
  waiting(): { length: number; oldest: number }
  /** Looks the whole database over. @returns what is wrong with it, in words */
  check(): Promise<string[]>
  /** How something that was acknowledged could be lost, in words: it works, but an operator should know. */
  risks(): Promise<string[]>
  /** How busy it is at this moment, in numbers whose names never change: connections, those idle, calls waiting, … */
  load(): Record<string, number>
  /** Writes what is waiting, then closes. */
  close(): Promise<void>
}

/** What has been over for so long, ms, by the clock that decides; and since before a moment, Unix ms. */
export interface LongOver {
  keep: number
  until: number
}

/** How many rows were deleted. */
export interface Purged {
  sessions: number
  tickets: number
  clients: number
  stamps: number
}

/** A unique value is somebody else's: `email_address`, `username`, `external_id`, … */
export class Taken extends Error {
  readonly what: string
  constructor(what: string) {
    super(`${what} is taken`)
    this.what = what
  }
}

type EventOf<T> = (record: T) => AuditRecord

export interface ExpulsionEvents {
  session: EventOf<SessionRecord>
  ticket: EventOf<TicketRecord>
}

export interface Acceptance {
  ticket_id: string
  /** New, or the browser's with its token renewed. */
  client: ClientRecord
  session: SessionRecord
  /** The actor that the ticket must be for; null: any. */
  expected_actor_sub: string | null
  event: AuditRecord
}

export interface MintFacts extends SessionRecord {
  client_token_hash: string
  client_previous_token_hash: string | null
  /** The user is gone, banned or locked; or the actor is a stored user, by id or external id, who is banned or locked. */
  barred: 0 | 1
  keyring_version: number
  /** When this was read, by the clock that decides: Unix ms. */
  now: number
}

export interface SigningKeyChange {
  insert: SigningKeyRecord[]
  update: { id: string; status: SigningKeyRecord['status']; retired_at?: number; forget?: true }[]
}

export interface Page {
  limit: number
  offset: number
  /** Only rows that follow this position: the `next` of the page before. */
  starting_after?: string | undefined
}

export interface Found<T> {
  rows: T[]
  /** Counted only when `filter.counted` asks. */
  total: number
  /** The position of the last row; undefined on the last page. */
  next?: string | undefined
}

/** A position in a list of users: the value of the column that orders it (see `UserOrder`), and the id. */
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

interface Counted {
  counted?: boolean | undefined
}

export interface TicketFilter extends Counted {
  kind: TicketRecord['kind']
  status?: TicketRecord['status'] | undefined
  user_id?: string | undefined
  actor_sub?: string | undefined
}

export interface SessionFilter extends Counted {
  client_id?: string | undefined
  user_id?: string | undefined
  actor_sub?: string | undefined
  status?: string | undefined
}

export interface AuditFilter extends Counted {
  action?: string | undefined
  outcome?: string | undefined
  code?: string | undefined
  user_id?: string | undefined
  session_id?: string | undefined
  ticket_id?: string | undefined
  actor_sub?: string | undefined
  principal_id?: string | undefined
  trace_id?: string | undefined
  after?: number | undefined
  before?: number | undefined
  before_seq?: number | undefined
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
}

/** What was to be made once has been made, or is being made right now. Nothing was changed. */
export class MadeBefore extends Error {}

/** The database cannot do it now: it is busy, full, or gone. What was asked of it was not done. */
export class StoreUnavailable extends Error {
  /** It was only to be read: says nothing of what was changed before, for the same request. */
  readonly reading: boolean
  constructor(message: string, options: ErrorOptions & { reading?: boolean } = {}) {
    super(message, options)
    this.reading = options.reading ?? false
  }
}

/** The database was lost while it was changing something: it may or may not have happened. */
export class OutcomeUnknown extends Error {}

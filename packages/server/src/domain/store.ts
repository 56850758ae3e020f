import type { AuditEventStore, AuditLogStore } from './audit-store.ts'
import type { Clock } from './clock.ts'
import type {
  ActingFilter,
  ActorFilter,
  ActorTokenFilter,
  Countable,
  Counted,
  Found,
  Page,
  SessionFilter,
  UserFilter,
  UserOrder,
  UserPage,
  UserPosition,
} from './lists.ts'
import type { OperatorSessionStore, OperatorStore } from './operator-store.ts'
import type {
  ActingRecord,
  ActorRecord,
  ActorTokenRecord,
  AuditRecord,
  ClientRecord,
  CutoffRecord,
  EndedStatus,
  GroupRecord,
  IdempotencyKeyRecord,
  IdentifierRecord,
  JwtTemplateRecord,
  KnownActing,
  PolicyRecord,
  RefusedRequestsRecord,
  RevokedSession,
  SecretKeyRecord,
  SessionRecord,
  SigningKeyRecord,
  UserRecord,
  UserWithIdentifiers,
} from './records.ts'

/**
 * The port to the database. Its methods are transitions, not operations on rows. Every change is one conditional
 * statement that decides whether the change takes place, in one transaction with its audit event. A result of
 * `undefined` or `false` means that another caller was first, that it is too late, or that there is no such row. The
 * caller then reads, only to choose the error to return. The database's clock decides what has expired, at the moment
 * the statement runs; the caller's clock does not.
 */
export interface Store {
  actorTokens: {
    /**
     * Adds the token if its user exists, neither the user nor the actor is blocked, and the versions are still those that
     * the decision was made on. @param decided undefined if no policy applies: there is no actor
     */
    insert(
      actorToken: ActorTokenRecord,
      decided: DecidedVersions | undefined,
      event: AuditRecord,
      once?: IdempotencyKeyRecord,
    ): Promise<boolean>
    find(id: string): Promise<ActorTokenRecord | undefined>
    /** Returns what a decision about this user and actor depends on, and its versions; undefined if there is no user. */
    findForDecision(user_id: string, actor_sub: string): Promise<DecisionRow | undefined>
    list(filter: ActorTokenFilter, page: Page): Promise<Found<ActorTokenRecord>>
    /** pending → revoked. */
    revoke(id: string, kind: ActorTokenRecord['kind'], event: AuditRecord): Promise<ActorTokenRecord | undefined>
    /**
     * pending → accepted, and starts the session, if the token has not expired and neither user nor actor is blocked.
     */
    accept(acceptance: Acceptance, once?: IdempotencyKeyRecord): Promise<boolean>
    /** Stores which browser confirmed a pending token. */
    confirm(id: string, tokenHash: string): Promise<void>
    /** Stores that a pending token was found expired. */
    markExpired(id: string): Promise<void>
    /** The same for every pending token that has expired. @returns how many */
    expireOverdue(limit: number): Promise<number>
  }
  sessions: {
    /** Starts a session without an actor token, if its user is not blocked. */
    insert(
      session: SessionRecord,
      client: ClientRecord,
      event: AuditRecord,
      once?: IdempotencyKeyRecord,
    ): Promise<boolean>
    find(id: string): Promise<SessionRecord | undefined>
    /** Returns everything that a mint depends on, in one read. */
    findForMint(id: string): Promise<MintFacts | undefined>
    list(filter: SessionFilter, page: Page): Promise<Found<SessionRecord>>
    listOfClient(clientId: string): Promise<SessionRecord[]>
    /** active → one of the ended states. */
    finish(id: string, status: EndedStatus, event: AuditRecord): Promise<SessionRecord | undefined>
    /** active → expired or abandoned, for sessions past their expiry. @returns how many */
    finishOverdue(limit: number, event: EventOf<SessionRecord>): Promise<number>
    /** Writes the time of last activity, which never decreases. */
    recordActivity(activity: { id: string; at: number }[]): Promise<void>
  }
  acting: {
    /** Lists active sessions in which an actor acts as a user, the one that began last first. */
    list(filter: ActingFilter, page: Page): Promise<Found<ActingRecord>>
    /** Returns those of these sessions that are active. */
    find(ids: string[]): Promise<ActingRecord[]>
    /** Returns a page of all sessions, ordered by id. @param after the id of the last one of the previous page */
    known(limit: number, after?: string): Promise<KnownActing[]>
    /** Returns what began or changed lately: the latest thousand of each. @param since Unix ms */
    news(from: { since: number; since_id: string }): Promise<ActingNews>
  }
  clients: {
    find(id: string): Promise<ClientRecord | undefined>
    /** Makes an active session of the client the selected one. */
    select(id: string, sessionId: string, event: AuditRecord): Promise<boolean>
    /** Gives a new token to a browser that presents the token its last sign-in replaced. */
    renew(id: string, tokenHash: string, presentedHash: string, event: AuditRecord): Promise<boolean>
    /** Invalidates the token that the last sign-in replaced, if the current token is still this one. */
    forgetPreviousToken(id: string, tokenHash: string): Promise<void>
  }
  actors: {
    /**
     * Adds an actor, or replaces what is registered. If it is disabled, everything that it has is revoked. Fails with
     * `UniqueValueTaken` if the sub looks like that of another actor.
     */
    put(actor: ActorRecord, event: AuditRecord): Promise<ActorRecord>
    find(sub: string): Promise<ActorRecord | undefined>
    list(filter: ActorFilter, page: Page): Promise<Found<ActorRecord>>
    delete(sub: string, event: AuditRecord): Promise<boolean>
    /**
     * Returns the subs of actors that are neither registered nor a user, by id or external id, and whose actor tokens were
     * redeemed since. Reads only the actor tokens that were created last, so some may be missing.
     * @param since Unix ms
     */
    unknown(since: number): Promise<string[]>
  }
  policies: {
    find(version: number): Promise<PolicyRecord | undefined>
    /** Returns the version in force; 0 is the default policy, which has no record. */
    current(): Promise<number>
    list(filter: Countable, page: Page): Promise<Found<PolicyRecord>>
    /** Puts a version in force, if the version in force is the one that it was based on. */
    put(policy: PolicyRecord, basedOn: number, event: AuditRecord): Promise<boolean>
  }
  groups: {
    /** Returns all teams and tags: few have parents. */
    all(): Promise<GroupRecord[]>
    find(kind: GroupRecord['kind'], name: string): Promise<GroupRecord | undefined>
    list(filter: Pick<GroupRecord, 'kind'> & Countable, page: Page): Promise<Found<GroupRecord>>
    /**
     * Adds a group or replaces its parents, and puts a version of the policy in force with it: only if the version that the
     * change was based on is still in force.
     */
    put(group: GroupRecord, policy: PolicyRecord, basedOn: number, event: AuditRecord): Promise<boolean>
    /** Removes a group, in the same way. */
    delete(
      group: Pick<GroupRecord, 'kind' | 'name'>,
      policy: PolicyRecord,
      basedOn: number,
      event: AuditRecord,
    ): Promise<boolean>
  }
  reevaluation: {
    /** Returns active acting sessions whose decision has to be made again. */
    due(limit: number): Promise<SessionRecord[]>
    /** Returns active acting sessions, those that started last first. */
    latest(limit: number): Promise<SessionRecord[]>
    /** Returns actor tokens, those that were created last first. @param before the id of the last one of the previous page */
    latestActs(limit: number, before?: string): Promise<ActorTokenRecord[]>
    /**
     * Stores decisions: active → revoked for those that were refused. Skips a session if something changed since it was
     * read, or if another server is writing it: it is still due. A blocked one is due again when its user or actor changes.
     * @returns how many were stored
     */
    write(decisions: Redecision[]): Promise<number>
  }
  users: {
    /** Fails with `UniqueValueTaken` if an identifier, username or external id belongs to another user. */
    insert(
      user: UserRecord,
      identifiers: IdentifierRecord[],
      event: AuditRecord,
      once?: IdempotencyKeyRecord,
    ): Promise<void>
    find(id: string): Promise<UserWithIdentifiers | undefined>
    /** Returns whether an actor is this user, and whether it is a stored user who is banned or locked. */
    findActor(actorSub: string, userId: string): Promise<{ is_user: boolean; is_blocked: boolean }>
    /** Users without a value in the ordering column come first, or last in descending order. */
    list(filter: UserFilter & Countable, page: UserPage): Promise<Found<UserWithIdentifiers>>
    /** Returns the position of a user in a list of this order. */
    position(id: string, by: UserOrder['by']): Promise<UserPosition | undefined>
    /** Counts users, up to a maximum. */
    count(filter: UserFilter): Promise<Counted>
    /** Changes columns. With `unless`, only if those columns still have these values. */
    update(id: string, change: Partial<UserRecord>, event: AuditRecord, unless?: Partial<UserRecord>): Promise<boolean>
    /** Bans or deletes a user, and ends all sessions and tokens in which the user is the subject or the actor. */
    expel(id: string, how: 'ban' | 'delete', event: AuditRecord, events: ExpulsionEvents): Promise<boolean>
  }
  jwtTemplates: {
    /** Fails with `UniqueValueTaken` if another template has the name; so does `update`. */
    insert(template: JwtTemplateRecord, event: AuditRecord, once?: IdempotencyKeyRecord): Promise<void>
    find(id: string): Promise<JwtTemplateRecord | undefined>
    findByName(name: string): Promise<JwtTemplateRecord | undefined>
    list(filter: Countable, page: Page): Promise<Found<JwtTemplateRecord>>
    update(id: string, change: Partial<JwtTemplateRecord>, event: AuditRecord): Promise<JwtTemplateRecord | undefined>
    delete(id: string, event: AuditRecord): Promise<boolean>
  }
  secretKeys: {
    /** Fails with `UniqueValueTaken` if the key is already stored. */
    insert(key: SecretKeyRecord, event: AuditRecord, once?: IdempotencyKeyRecord): Promise<void>
    /** Finds a key that is neither revoked nor expired. */
    findUsable(hash: string): Promise<SecretKeyRecord | undefined>
    /** Finds a key in any state. */
    findByHash(hash: string): Promise<SecretKeyRecord | undefined>
    /** Returns the ids of all keys that are neither revoked nor expired. */
    usableIds(): Promise<string[]>
    /** Returns all keys, oldest first. */
    all(): Promise<SecretKeyRecord[]>
    /** Lists keys, newest first. */
    list(filter: Countable, page: Page): Promise<Found<SecretKeyRecord>>
    revoke(id: string, event: AuditRecord): Promise<SecretKeyRecord | undefined>
  }
  operators: OperatorStore
  operatorSessions: OperatorSessionStore
  signingKeys: {
    /** Returns all keys (removed ones without their private part), and a version that increases with every change. */
    keyring(): Promise<{ version: number; keys: SigningKeyRecord[] }>
    /** Changes several keys in one transaction, if none has changed since `version`. */
    change(version: number, change: SigningKeyChange, event: AuditRecord): Promise<boolean>
    recordLongLivedToken(id: string, until: number): Promise<void>
  }
  revocations: {
    /** Stores a cutoff: everything of a subject that was written up to now is revoked. @returns the cutoff, Unix ms */
    addCutoff(scope: CutoffRecord['scope'], subject: string, event: AuditRecord): Promise<number>
    /** Marks some of the rows that a cutoff has revoked. @returns how many; zero means that none were left */
    applyCutoff(
      cutoff: CutoffRecord,
      limit: number,
      events: ExpulsionEvents,
    ): Promise<{ actor_tokens: number; sessions: number }>
    /** Whether there has ever been a token or a session with this actor. */
    isKnownActor(sub: string): Promise<boolean>
    /** Returns the actors of all stored tokens and sessions. */
    actorSubs(limit: number): Promise<string[]>
    /** Stores that every row of a cutoff is marked. */
    finishCutoff(cutoff: CutoffRecord): Promise<void>
    cutoffs(filter: { since?: number; unapplied?: boolean }): Promise<CutoffRecord[]>
    /**
     * Returns sessions that ended before their expiry, ordered by the time of the end, after a position in that order.
     */
    endedSince(updatedAt: number, id: string, limit: number): Promise<RevokedSession[]>
    /**
     * Calls the listener soon after any node revoked something; sometimes without cause. @returns a function that stops
     * it
     */
    onChange(listener: () => void): () => void
  }
  /**
   * Idempotency keys. The methods that create something store the key too: `insert(…, once)` fails with `AlreadyCreated`.
   */
  idempotencyKeys: {
    /** Returns a key that has not expired. */
    find(key: Pick<IdempotencyKeyRecord, 'owner' | 'operation' | 'key_hash'>): Promise<IdempotencyKeyRecord | undefined>
    /** Deletes some of the expired keys. @returns how many */
    deleteExpired(limit: number): Promise<number>
  }
  /**
   * Deletes rows after their retention period. Keeps what is active or not yet stored as ended, and every audit event.
   */
  purge: {
    /**
     * Deletes one batch: at most `limit` sessions, tokens and cutoffs each. `left` if one of these limits was reached.
     */
    deleteBatch(expired: ExpiredBefore, limit: number): Promise<Purged & { left: boolean }>
    /** Counts the rows that may be deleted. Reads all of them. */
    count(expired: ExpiredBefore): Promise<Omit<Purged, 'clients'>>
  }
  audit: AuditEventStore
  auditLog: AuditLogStore
  refusedRequests: {
    add(counts: RefusedRequestsRecord[]): Promise<void>
    list(filter: Countable, page: Page): Promise<Found<RefusedRequestsRecord>>
    /** Deletes some of the counts of minutes before a time. @returns how many */
    deleteBefore(minute: number, limit: number): Promise<number>
  }
  /** The clock that decides what has expired. */
  clock: Clock
  /** Returns the one instance of this database, and creates it at the first call. */
  instance(create: () => { id: string; created_at: number }): Promise<{ id: string; created_at: number }>
  /** Resolves if the database answers. */
  ping(): Promise<void>
  /**
   * Calls the listener once for each transaction of this process that wrote audit events, with those events in their
   * order: after the commit, and before the caller of the transition gets its result. A transition that was refused or
   * undone is not reported, nor is one whose outcome is unknown. SQLite reports transitions that it commits together in
   * one call. PostgreSQL reports transactions in the order of its answers, which may differ from the order of their
   * commits. If the listener throws, the operator gets a warning; the transition is not affected.
   * @returns a function that stops it
   */
  onCommitted(listener: (events: readonly AuditRecord[]) => void): () => void
  /** Returns how many requests wait for a connection, and for how long the oldest has waited, in ms. */
  waiting(): { length: number; oldest: number }
  /** Checks the whole database. @returns the problems found, as text */
  check(): Promise<string[]>
  /** Returns how acknowledged changes could be lost, as text. The database works, but an operator should know. */
  risks(): Promise<string[]>
  /** Returns the current load, as numbers whose names never change: connections, idle ones, waiting calls, … */
  load(): Record<string, number>
  /** Writes what is pending, then closes. */
  close(): Promise<void>
}

/** Which rows to purge: ended for at least `keep` ms by the store's clock, and before `until`, Unix ms. */
export interface ExpiredBefore {
  keep: number
  until: number
}

/** How many rows were deleted. */
export interface Purged {
  sessions: number
  actor_tokens: number
  clients: number
  cutoffs: number
  operator_sessions: number
  operator_links: number
  operator_sign_ins: number
}

/** A unique value is already in use: `email_address`, `username`, `external_id`, … */
export class UniqueValueTaken extends Error {
  readonly what: string
  constructor(what: string) {
    super(`${what} is taken`)
    this.what = what
  }
}

type EventOf<T> = (record: T) => AuditRecord

export interface ExpulsionEvents {
  session: EventOf<SessionRecord>
  actorToken: EventOf<ActorTokenRecord>
}

export interface Acceptance {
  actor_token_id: string
  /** A new client, or the browser's client with its token renewed. */
  client: ClientRecord
  session: SessionRecord
  /** The actor that the token must be for; null: any. */
  expected_actor_sub: string | null
  /** The versions that the decision was made on; undefined if no policy applies: there is no actor. */
  decided: DecidedVersions | undefined
  event: AuditRecord
}

/** A new decision about a session, as it was read before. */
export type Redecision = { session: SessionRecord } & (
  | { versions: DecidedVersions; until: number | null; refused?: undefined; blocked?: undefined }
  /** The event of its end. */
  | { refused: AuditRecord; blocked?: undefined }
  /** It gets no tokens, but stays active. */
  | { refused?: undefined; blocked: true }
)

export interface MintFacts extends SessionRecord, DecidedVersions {
  client_token_hash: string
  client_previous_token_hash: string | null
  /**
   * 1 if the user is deleted, banned or locked, or the actor is a stored user (by id or external id) who is banned or
   * locked.
   */
  blocked: 0 | 1
  keyring_version: number
  /** When this was read, by the store's clock, Unix ms. */
  now: number
}

export interface SigningKeyChange {
  insert: SigningKeyRecord[]
  update: { id: string; status: SigningKeyRecord['status']; retired_at?: number; forget?: true }[]
}

/** The versions that a decision was made on. */
export interface DecidedVersions {
  policy_version: number
  user_version: number
  actor_version: number
}

type FactColumns = 'id' | 'external_id' | 'private_metadata' | 'banned_at' | 'locked_at'
type RegisteredColumns = 'sub' | 'kind' | 'teams' | 'organizations' | 'level' | 'owner_sub' | 'disabled_at'

/** What a decision depends on. Of joined rows that do not exist, every column is null. */
export type DecisionRow = DecidedVersions & { user_is_registered: 0 | 1 } & {
  [K in FactColumns as `users ${K}`]: UserRecord[K]
} & { [K in FactColumns as `own ${K}` | `own_by_external_id ${K}`]: UserRecord[K] | null } & {
  [K in RegisteredColumns as `actors ${K}`]: ActorRecord[K] | null
}

/** What is new about acting sessions. */
export interface ActingNews {
  /** The ids of active sessions that are after an id: those that began since. */
  sessions: string[]
  /** Users and registered actors that have changed, and when. Not all of them act, or are acted as. */
  changes: { kind: 'user' | 'actor'; id: string; at: number }[]
}

/** The object for this idempotency key was created before, or is being created right now. Nothing was changed. */
export class AlreadyCreated extends Error {}

/** The database cannot run this now: it is busy, full or unreachable. Nothing was changed. */
export class StoreUnavailable extends Error {
  /** Whether this was a read. If so, it does not tell whether the same request had changed something before. */
  readonly reading: boolean
  constructor(message: string, options: ErrorOptions & { reading?: boolean } = {}) {
    super(message, options)
    this.reading = options.reading ?? false
  }
}

/** The connection was lost during a change: it may or may not have been committed. */
export class OutcomeUnknown extends Error {}

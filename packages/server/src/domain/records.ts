import type { ErrorAbout } from '../contract/errors.ts'
import type { Role } from '../contract/operation.ts'
import type { Access } from './policy-engine.ts'

/**
 * The stored records. Names are those of the wire; times are Unix milliseconds; JSON is stored as text, so that it is
 * returned value for value by every database.
 */

/** What an actor token or a session may do, as stored. A *limited* session may only read, or has scopes; its tokens have the claim `scope`. */
export interface Limits {
  access: Access
  /** JSON, sorted; null: unrestricted. */
  scopes: string | null
}

/** An actor token or a sign-in token. The ticket itself is not stored: it is derived from these facts and a key. */
export interface ActorTokenRecord extends Limits {
  id: string
  kind: 'actor_token' | 'sign_in_token'
  status: 'pending' | 'accepted' | 'revoked'
  user_id: string
  /** JSON, or null in a sign-in token. */
  actor: string | null
  actor_sub: string | null
  reason: string | null
  expires_in_seconds: number
  session_max_duration_in_seconds: number
  /** Where the browser goes when acting ends; null: the app decides. */
  return_url: string | null
  expires_at: number
  /** When the token was first found expired. Once stored, the token stays expired even if the clock is set back. */
  expired_at: number | null
  session_id: string | null
  /** SHA-256 of the client token of the browser that confirmed the ticket. */
  confirmed_token_hash: string | null
  confirmed_at: number | null
  /** What policies know about the request that created the token, JSON: `FrozenFacts`. Null in a sign-in token. */
  facts: string | null
  created_at: number
  updated_at: number
}

export type EndedStatus = 'ended' | 'removed' | 'revoked' | 'expired' | 'abandoned'

export interface SessionRecord extends Limits {
  id: string
  client_id: string
  user_id: string
  status: 'active' | EndedStatus
  actor: string | null
  actor_sub: string | null
  actor_token_id: string | null
  /** The session that was selected on the client before this one. It is selected again when this one ends. */
  parked_session_id: string | null
  /** Null if the session has no idle timeout. */
  idle_timeout_seconds: number | null
  last_active_at: number
  expire_at: number
  abandon_at: number
  /** Those of its token. */
  facts: string | null
  reason: string | null
  /** The address of the browser that redeemed the ticket; null if a backend did, and in the user's own sessions. */
  ip: string | null
  /** The versions of the policy, the user and the actor of the last decision about the session. */
  decided_policy: number
  decided_user: number
  decided_actor: number
  /** When the decision must be made again although nothing changed, Unix ms; null: never. */
  decided_until: number | null
  created_at: number
  updated_at: number
}

/** What a follower has to remember of an active session in which an actor acts as a user. */
export type KnownActing = Pick<SessionRecord, 'id' | 'user_id' | 'expire_at'> & {
  actor_sub: string
  /** When the row was written, by the store's clock, Unix ms. */
  written_at: number
}

/** An active session in which an actor acts as a user, with what is known about both. Null: the user is not stored any more. */
export interface ActingRecord extends SessionRecord {
  actor: string
  actor_sub: string
  written_at: number
  user: Pick<UserRecord, 'first_name' | 'last_name' | 'username'> & { email_address: string | null }
  /** The kind with which the actor is registered. */
  registered_kind: ActorRecord['kind'] | null
  /** Whether the actor is a stored user, by id or external id. */
  actor_is_user: 0 | 1
}

export interface ClientRecord {
  id: string
  /** SHA-256 of the token in the browser's cookie. Each sign-in replaces it. */
  rotating_token_hash: string
  /**
   * SHA-256 of the token that the last sign-in replaced. The browser can present it to repeat that sign-in if the
   * response was lost.
   */
  previous_token_hash: string | null
  last_active_session_id: string | null
  created_at: number
  updated_at: number
}

export interface UserRecord {
  id: string
  external_id: string | null
  username: string | null
  first_name: string | null
  last_name: string | null
  locale: string | null
  primary_email_address_id: string | null
  primary_phone_number_id: string | null
  public_metadata: string
  private_metadata: string
  unsafe_metadata: string
  delete_self_enabled: 0 | 1
  create_organization_enabled: 0 | 1
  banned_at: number | null
  locked_at: number | null
  legal_accepted_at: number | null
  last_sign_in_at: number | null
  last_active_at: number | null
  /** Changes with everything about the user that policies depend on. Only whether it is the same counts. */
  facts_version: number
  created_at: number
  updated_at: number
}

/** A registered actor: an operator or an agent, and what policies know about it. */
/** A team or a tag that is part of others. */
export interface GroupRecord {
  kind: 'team' | 'tag'
  name: string
  /** Names of groups of the same kind, JSON. */
  parents: string
  created_at: number
  updated_at: number
}

export interface ActorRecord {
  sub: string
  /** The `sub` without differences that people do not see. */
  sub_folded: string
  kind: 'operator' | 'agent'
  name: string | null
  /** Lists of names, JSON. */
  teams: string
  organizations: string
  level: number
  /** The operator's own user. */
  user_id: string | null
  /** The operator who is responsible for an agent. */
  owner_sub: string | null
  disabled_at: number | null
  /** As in a user; it also covers the actor's user and owner. */
  facts_version: number
  created_at: number
  updated_at: number
}

/** An e-mail address or a phone number of a user. */
export interface IdentifierRecord {
  id: string
  user_id: string
  kind: 'email_address' | 'phone_number'
  value: string
  /** Order among the user's identifiers of this kind, from 0. */
  position: number
  created_at: number
  updated_at: number
}

export interface UserWithIdentifiers extends UserRecord {
  identifiers: IdentifierRecord[]
}

/** A secret API key. The key itself is shown once and never stored. */
export interface SecretKeyRecord {
  id: string
  name: string
  /** SHA-256 of the key, hex. */
  hash: string
  /** First and last characters of the key, so that people can tell keys apart. */
  hint: string
  created_at: number
  revoked_at: number | null
  /** What the key may do, separated by spaces: `act audit`. */
  rights: string
  expires_at: number | null
}

/** A version of the policy. */
export interface PolicyRecord {
  version: number
  policy_text: string
  /** Names of the base rules that are off, JSON. */
  off: string
  /** SHA-256 of the text and the names, hex. */
  digest: string
  reason: string | null
  created_by: string
  created_at: number
}

/** A JWT template: the claims of the tokens that are requested by its name. */
export interface JwtTemplateRecord {
  id: string
  name: string
  /** A JSON object whose texts may contain shortcodes. */
  claims: string
  /** Seconds. */
  lifetime: number
  allowed_clock_skew: number
  created_at: number
  updated_at: number
}

export type SigningAlg = 'RS256' | 'ES256' | 'EdDSA'

export interface SigningKeyRecord {
  id: string
  alg: SigningAlg
  status: 'next' | 'active' | 'retiring' | 'removed'
  /** Public JWK, JSON. */
  public_jwk: string
  /** PKCS #8, sealed with the master key; null once removed. */
  sealed_private_key: string | null
  /** Latest `exp` (ms) of a token signed with it that lives longer than usual; 0 if there is none. */
  signs_until: number
  created_at: number
  retired_at: number | null
}

/** A stored audit event: its canonical text, the hash of that, and columns to search by. */
export interface AuditRecord extends Required<{ [K in keyof ErrorAbout]: string | null }> {
  id: string
  at: number
  action: string
  outcome: 'done' | 'refused'
  code: string | null
  principal_type: Principal['type']
  principal_id: string | null
  target_id: string | null
  trace_id: string
  /** Canonical JSON; `leaf_hash` is the hash of its bytes. */
  event: string
  /** Canonical JSON of the personal data. A salted hash inside `event` covers it; it can be erased. */
  personal: string | null
  leaf_hash: string
}

/** A stored audit event, with its positions. */
export interface AuditRow extends AuditRecord {
  /** The number of the row. On PostgreSQL there are gaps, and an event can get a lower number than an earlier one. */
  seq: number
  /** The position in the log, from 0 and without gaps; null until the sequencer has added the event. */
  leaf_index: number | null
}

/** The tree over the audit log, as far as the sequencer has come. */
export interface AuditTreeRecord {
  origin: string
  size: number
  /** Hex, as in the other records of the tree. */
  root: string
  /** The highest number of a row that was looked at. */
  last_seq: number
  /** JSON: `Hole[]` (domain/audit/holes.ts). */
  holes: string
  /** The first leaf whose event is still stored. */
  first: number
}

/** A stretch of the log: leaf `first_index + i` is event `first_seq + i`, for `i < count`. */
export interface AuditRunRecord {
  first_index: number
  first_seq: number
  count: number
}

/** 256 neighbouring hashes of one level of the tree. */
export interface AuditTileRecord {
  level: number
  tile: number
  /** Base64. */
  hashes: string
  root: string
}

export interface AuditCheckpointRecord {
  size: number
  root: string
  at: number
  /** The signed note. */
  note: string
  /** Signature lines of witnesses. */
  cosignatures: string
}

/** A key that signs checkpoints. */
export interface AuditKeyRecord {
  id: string
  /** The origin of the log. */
  name: string
  /** Base64 of the 32 bytes. */
  public_key: string
  /** Null once the key signs nothing more. */
  sealed_private_key: string | null
  created_at: number
  retired_at: number | null
}

export interface RefusedRequestsRecord {
  minute: number
  address: string
  code: string
  count: number
}

/** A request with an idempotency key, and the id of what it created. */
export interface IdempotencyKeyRecord {
  /** The secret key's id. */
  owner: string
  operation: string
  key_hash: string
  body_hash: string
  made_id: string
}

/**
 * A cutoff: what was written up to its time is revoked. It covers everything, everything of a user, or everything that
 * an actor does.
 */
export interface CutoffRecord {
  scope: 'everything' | 'user' | 'actor'
  /** A user's id, an actor's `sub`, or empty. */
  subject: string
  at: number
  /** When every row had been marked as revoked; null while some are not. */
  applied_at: number | null
}

/** A session that ended before its expiry, so verifiers should refuse its tokens. */
export interface RevokedSession {
  id: string
  user_id: string
  actor_sub: string | null
  status: EndedStatus
  updated_at: number
}

/** A person who uses the console. Identified by `(iss, sub)`. */
export interface OperatorRecord {
  id: string
  /** The identity provider; the public URL for an operator without one. */
  iss: string
  sub: string
  /** The `sub` with which the operator acts. */
  actor_sub: string
  /** An e-mail address, or `development`: identifies an operator without an identity provider. */
  local_name: string | null
  role: Role
  /** The claim of the identity provider, the one-time link of an invitation, or the link of a development server. */
  role_source: 'claim' | 'link' | 'development'
  name: string | null
  email: string | null
  disabled_at: number | null
  last_sign_in_at: number | null
  created_at: number
  updated_at: number
}

/** An operator's session in the console. */
export interface OperatorSessionRecord {
  id: string
  operator_id: string
  /** SHA-256 of the secret in the browser's cookie. */
  secret_hash: string
  /** The role at the sign-in. If the operator's role is lower now, that one counts. */
  role: Role
  /** When the operator proved who they are; null if the identity provider does not say it. */
  auth_at: number | null
  /** How (RFC 8176), JSON. */
  amr: string
  user_agent: string | null
  address: string | null
  last_seen_at: number
  idle_expires_at: number
  expires_at: number
  ended_at: number | null
  created_at: number
}

/** A sign-in that has begun. */
export interface OperatorSignInRecord {
  /** SHA-256 of the secret in the cookie of the browser that began it. */
  secret_hash: string
  kind: 'provider' | 'join' | 'passkey'
  /** Where the browser goes afterwards: a path of the console. */
  return_to: string
  /** The session that the step-up renews, or that the sign-in replaces. */
  session_id: string | null
  is_step_up: 0 | 1
  /** The operator who joins, and the role of the link. */
  operator_id: string | null
  role: Role | null
  expires_at: number
}

/** A one-time link that lets an operator join. */
export interface OperatorLinkRecord {
  secret_hash: string
  operator_id: string
  role: Role
  kind: 'invite' | 'development'
  expires_at: number
  used_at: number | null
  created_at: number
}

export interface OperatorPasskeyRecord {
  /** The credential's own id, base64url. */
  id: string
  operator_id: string
  /** COSE, base64url. */
  public_key: string
  use_count: number
  /** JSON. */
  transports: string
  last_used_at: number | null
  created_at: number
}

/** Who made the request. */
export type Principal =
  | { type: 'secret_key'; id: string | null }
  | { type: 'operator'; id: string | null }
  | { type: 'client'; id: string | null }
  | { type: 'command_line'; id: string | null }
  | { type: 'system'; id: null }

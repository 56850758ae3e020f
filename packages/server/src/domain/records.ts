import type { ErrorAbout } from '../contract/errors.ts'

/**
 * What is stored. Names are the wire's; times are Unix milliseconds; JSON is text, so that what was given comes back
 * value for value whatever the database.
 */

/** An actor token or a sign-in token. The ticket itself is not here: it is rebuilt from these facts and a key. */
export interface TicketRecord {
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
  /** Where the browser goes when acting is over; null: the app decides. */
  return_url: string | null
  expires_at: number
  /** When expiry was first seen. Once written, no turned-back clock revives the ticket. */
  expired_at: number | null
  session_id: string | null
  /** SHA-256 of the client token of the browser that confirmed it goes on with the ticket, and when. */
  confirmed_token_hash: string | null
  confirmed_at: number | null
  created_at: number
  updated_at: number
}

export type EndedStatus = 'ended' | 'removed' | 'revoked' | 'expired' | 'abandoned'

export interface SessionRecord {
  id: string
  client_id: string
  user_id: string
  status: 'active' | EndedStatus
  actor: string | null
  actor_sub: string | null
  ticket_id: string | null
  /** The session that was selected on the client before this one, and is again when this one is over. */
  parked_session_id: string | null
  /** Null: the session does not end from being idle. */
  idle_timeout_seconds: number | null
  last_active_at: number
  expire_at: number
  abandon_at: number
  created_at: number
  updated_at: number
}

export interface ClientRecord {
  id: string
  /** SHA-256 of the token in the browser's cookie; a new one at each sign-in. */
  rotating_token_hash: string
  /** SHA-256 of what the browser showed at its last sign-in, which that replaced: good for asking again, if the answer was lost. */
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
  created_at: number
  updated_at: number
}

/** An e-mail address or a phone number of a user. */
export interface IdentifierRecord {
  id: string
  user_id: string
  kind: 'email_address' | 'phone_number'
  value: string
  /** Order among the user's own, from 0. */
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
  /** First and last characters, to tell keys apart by eye. */
  hint: string
  created_at: number
  revoked_at: number | null
}

/** Says what is in the tokens that are asked for by its name. */
export interface JwtTemplateRecord {
  id: string
  name: string
  /** JSON object; its texts hold shortcodes. */
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
  /** Latest `exp` (ms) of a longer-lived token signed with it; 0 if it only signed ordinary ones. */
  signs_until: number
  created_at: number
  retired_at: number | null
}

/** One audit event as stored: the canonical text, its hash, and columns to search by. */
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
  /** Canonical JSON; its bytes are what `leaf_hash` covers. */
  event: string
  /** Canonical JSON of the personal part, committed to by a salted hash inside `event`; erasable. */
  personal: string | null
  leaf_hash: string
}

export interface RefusedRequestsRecord {
  minute: number
  address: string
  code: string
  count: number
}

/** What a secret key asked to be made once, and what was made. */
export interface IdempotencyKeyRecord {
  /** The secret key's id. */
  owner: string
  operation: string
  key_hash: string
  body_hash: string
  made_id: string
}

/** What was written up to a time is revoked: everything, all of a user, or all that an actor does. */
export interface NotBeforeRecord {
  scope: 'everything' | 'user' | 'actor'
  /** A user's id, an actor's `sub`, or empty. */
  subject: string
  at: number
  /** When every row had been marked as revoked; null while some are not. */
  marked_at: number | null
}

/** A session whose tokens should be refused though their time is not over. */
export interface RevokedSession {
  id: string
  user_id: string
  actor_sub: string | null
  status: EndedStatus
  updated_at: number
}

/** Who asks. */
export type Principal =
  | { type: 'secret_key'; id: string | null }
  | { type: 'client'; id: string | null }
  | { type: 'command_line'; id: string | null }
  | { type: 'system'; id: null }

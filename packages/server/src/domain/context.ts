/** `domain/` has the rules of Stagedoor as plain functions `(ctx, input)`, without HTTP and SQL. */

import type { Right, Role } from '../contract/operation.ts'
import type { ActingFeed } from './acting-feed.ts'
import type { Activity } from './activity.ts'
import type { AuditKeys } from './audit/checkpoints.ts'
import type { AuditLog } from './audit/log.ts'
import type { Publisher } from './audit/publish.ts'
import type { CallerLimit } from './caller-limit.ts'
import type { Clock } from './clock.ts'
import type { EventStreams } from './event-streams.ts'
import type { Hierarchies } from './hierarchies.ts'
import type { Access, PolicyDocument, PolicyEngine } from './policy-engine.ts'
import type { RecentReads } from './policy-facts.ts'
import type { Random } from './random.ts'
import type { OperatorRecord, Principal, SigningAlg, SigningKeyRecord } from './records.ts'
import type { RefusedRequestCounter } from './refused-requests.ts'
import type { RememberedDecisions } from './remembered-decisions.ts'
import type { RevocationFeed } from './revocation-feed.ts'
import type { Stats } from './stats.ts'
import type { Store } from './store.ts'

/** What a rule needs of the outside world. Every rule is a plain function `(ctx, input)` that uses nothing else. */
export interface Context extends Services {
  caller: Caller
}

/** Everything that exists once per server. Created in server.ts. */
export interface Services {
  clock: Clock
  random: Random
  store: Store
  signing: Signing
  settings: Settings
  activity: Activity
  auditLog: AuditLog
  auditPublisher: Publisher
  auditKeys: AuditKeys
  refusedRequests: RefusedRequestCounter
  revocationFeed: RevocationFeed
  actingFeed: ActingFeed
  eventStreams: EventStreams
  stats: Stats
  policy: PolicyEngine
  /** The policy that is in force until another one is applied. */
  defaultPolicy: PolicyDocument
  decisions: RememberedDecisions
  recentReads: RecentReads
  needs: CallerLimit
  searches: CallerLimit
  explanations: CallerLimit
  hierarchies: Hierarchies
  /** Checks the settings and what is stored. */
  examine(ctx: Context): Promise<Finding[]>
  /** Creates a key pair for `rotateSigningKeys` and `removeSigningKey`. */
  makeSigningKey: MakeKey
  /** Gives other work its turn. For work that takes more than some milliseconds. */
  nextTurn(): Promise<void>
  /**
   * Aborted when the server starts to stop. It then finishes the requests in flight, ends open streams, and should get
   * no new requests.
   */
  stopping: AbortSignal
}

/** Who sent the request, and from where. Recorded in the audit event. */
export interface Caller {
  principal: Principal
  address: string | null
  /** What rate limits and counts go by: an IPv4 address, or the /64 of an IPv6 address. */
  network: string | null
  user_agent: string | null
  /** The name of the secret key that made the request. */
  key_name?: string
  /** What the caller may do. Absent: nothing that depends on rights. */
  rights?: readonly Right[]
  /** The operator of the console who made the request. */
  operator?: OperatorCaller
  trace_id: string
}

/** An operator in a session of the console. */
export interface OperatorCaller {
  id: string
  session_id: string
  /** What the operator may do now. */
  role: Role
  role_source: OperatorRecord['role_source']
  sub: string
  /** The actor that the operator is whenever they act as a user. */
  actor: { sub: string; iss: string; name?: string; email?: string }
  /** When and how they proved who they are. */
  auth: { at: number; amr: string[] }
  /** Until when they may do what is dangerous, Unix ms; null if they have to sign in again for it. */
  step_up_until: number | null
  expires_at: number
  idle_expires_at: number
}

/** The settings that rules depend on. */
export interface Settings {
  instance_id: string
  /** The version of this server, as in its package. */
  version: string
  /** The settings that are not at their defaults, without secrets. */
  changed: readonly { name: string; value: string | null; source: 'environment' | 'dev' }[]
  environment: 'development' | 'production'
  /** Issuer of session tokens and origin of the Frontend API, without a trailing slash. */
  public_url: string
  /** The origin of the console. */
  console_url: string
  /** Whether the console answers only there: a proxy passes on the header Host. */
  console_checks_host: boolean
  /** The host of the identity provider with which operators sign in; null if there is none. */
  idp_host: string | null
  /** The app's page that receives tickets. */
  sign_in_url: string
  /** Whether opening a ticket shows a confirmation page or redirects the browser at once. */
  accept_page: 'confirm' | 'redirect'
  /** Whether sign-in tokens can be created and redeemed. */
  sign_in_tokens: 'on' | 'off'
  /** The time zone of policies, as in the IANA database. */
  time_zone: string
  /** The access of an actor token whose request names none. */
  default_access: Access
  /** Whether the app at an origin applies the claim `scope`, so that limited sessions are safe there. */
  appliesScope: (origin: string) => boolean
  /** The algorithm that signs tokens. */
  signing_alg: SigningAlg
  session_idle_timeout_seconds: number
  session_token_lifetime_seconds: number
  actor_max_bytes: number
  actor_token_max_seconds: number
  actor_session_max_seconds: number
  /** Whether checkpoints, tiles and keys of the audit log can be read without a key. */
  audit_public: boolean
  /** Whether there is new access only while the newest audit events are provable. */
  audit_has_max_lag: boolean
}

/** What a check of the server found. */
export interface Finding {
  check: string
  /** `warn` works, but an operator should know. */
  result: 'ok' | 'warn' | 'fail'
  detail: string
}

/** Creates a key pair whose private part is sealed. */
export type MakeKey = (alg: SigningAlg, status: SigningKeyRecord['status'], now: number) => Promise<SigningKeyRecord>

/** The port to the keys. */
export interface Signing {
  /** Returns the ticket of a token. The same claims always give the same ticket. */
  ticket(claims: TicketClaims): string
  /** Returns undefined if the text is not a ticket of this server. */
  readTicket(text: string): TicketClaims | undefined
  clientToken(claims: ClientClaims): string
  readClientToken(text: string): ClientClaims | undefined
  handshakeNonce(claims: HandshakeClaims): string
  readHandshakeNonce(text: string): HandshakeClaims | undefined
  /** Signs the cookies of a handshake, given as JSON text, with the key for session tokens. */
  handshakeToken(claims: string): Promise<string>
  /** Signs claims, given as JSON text. `version` is the keyring's version, as just read from the store. */
  sessionToken(claims: string, version: number): Promise<{ jwt: string; kid: string }>
  /** The same with another category in the header, so that it is never mistaken for a session token. */
  templateToken(claims: string, version: number): Promise<{ jwt: string; kid: string }>
  /** Returns how many signatures wait, and for how long the oldest has waited, in ms. */
  waiting(): { length: number; oldest: number }
  jwks(): Promise<{ keys: { kty: string; kid: string; alg: SigningAlg; [member: string]: unknown }[] }>
}

export interface TicketClaims {
  /** Lifetime in seconds, and expiry as Unix time in seconds. */
  eis: number
  exp: number
  /** The instance's id. */
  iid: string
  /** The token's id. */
  sid: string
  st: 'actor_token' | 'sign_in_token'
}

export interface ClientClaims {
  id: string
  iid: string
  rotating_token: string
}

export interface HandshakeClaims {
  iid: string
  /** Unix ms. */
  exp: number
  /** The session to sign in to; null signs the browser out. */
  sid: string | null
  /** When the client last changed, Unix time in seconds; 0 if it has no active session. */
  uat: number
  /** The app's origin. */
  azp: string
  /** The kind of the app's publishable key. */
  key: 'test' | 'live'
  /** Identifies the browser, in development only. */
  dvb: string | null
}

import type { Activity } from './activity.ts'
import type { EventStreams } from './event-streams.ts'
import type { Principal, SigningAlg } from './records.ts'
import type { RefusedRequestCounter } from './refused-requests.ts'
import type { RevocationFeed } from './revocation-feed.ts'
import type { Store } from './store.ts'

/** Every rule is a plain function `(ctx, input)`: what it needs of the world is here, and nothing else is used. */
export interface Context extends Services {
  caller: Caller
}

/** What lives as long as the server. Made in server.ts. */
export interface Services {
  clock: Clock
  random: Random
  store: Store
  signing: Signing
  settings: Settings
  activity: Activity
  refusedRequests: RefusedRequestCounter
  revocationFeed: RevocationFeed
  eventStreams: EventStreams
  /**
   * Aborted when the server begins to stop: it finishes what is under way, ends what would go on for ever, and should be
   * sent nothing more.
   */
  stopping: AbortSignal
}

/** Who asks, from where. Goes into the audit event. */
export interface Caller {
  principal: Principal
  address: string | null
  user_agent: string | null
  trace_id: string
}

export interface Clock {
  /** Unix time in milliseconds. */
  now(): number
}

export interface Random {
  bytes(count: number): Buffer
  /** A new id: `id('act', now)` → `act_2EL6mQKzeUtoRwGuLZsznyfkIsH`. Sorts by time of creation. */
  id(prefix: string, now: number): string
}

/** The settings that rules depend on. */
export interface Settings {
  instance_id: string
  environment: 'development' | 'production'
  /** Issuer of session tokens and origin of the Frontend API, without a trailing slash. */
  public_url: string
  /** The app's page that tickets are sent to. */
  sign_in_url: string
  /** Whether opening a ticket shows a page that asks, or sends the browser straight on. */
  accept_page: 'confirm' | 'redirect'
  /** Whether sign-in tokens are created and redeemed. */
  sign_in_tokens: 'on' | 'off'
  /** How tokens are signed. */
  signing_alg: SigningAlg
  session_idle_timeout_seconds: number
  session_token_lifetime_seconds: number
  actor_max_bytes: number
  actor_token_max_seconds: number
  actor_session_max_seconds: number
}

/** The port to the keys. */
export interface Signing {
  /** The ticket of a token, always the same for the same facts. */
  ticket(claims: TicketClaims): string
  /** Undefined: not a ticket of this server. */
  readTicket(text: string): TicketClaims | undefined
  clientToken(claims: ClientClaims): string
  readClientToken(text: string): ClientClaims | undefined
  handshakeNonce(claims: HandshakeClaims): string
  readHandshakeNonce(text: string): HandshakeClaims | undefined
  /** Signs the cookies of a handshake, given as JSON text, with the key of session tokens. */
  handshakeToken(claims: string): Promise<string>
  /** Signs claims given as JSON text. `version` is the keyring's as just read from the store. */
  sessionToken(claims: string, version: number): Promise<{ jwt: string; kid: string }>
  /** The same with another category in the header: nobody takes it for a session token. */
  templateToken(claims: string, version: number): Promise<{ jwt: string; kid: string }>
  /** How many signatures wait to be made, and how long the first of them has, ms. */
  waiting(): { length: number; oldest: number }
  jwks(): Promise<{ keys: { kty: string; kid: string; alg: SigningAlg; [member: string]: unknown }[] }>
}

export interface TicketClaims {
  /** Lifetime and expiry, seconds. */
  eis: number
  exp: number
  /** Instance. */
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
  /** The session to give; null signs out. */
  sid: string | null
  /** When the client last changed, in seconds; 0 if nobody is signed in. */
  uat: number
  /** The app's origin. */
  azp: string
  /** Kind of the app's publishable key. */
  key: 'test' | 'live'
  /** The browser's name, in development. */
  dvb: string | null
}

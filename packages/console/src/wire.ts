/** The shapes of the API, as the contract describes them. Only types: nothing of the server is in the console. */
import type { z } from 'zod'
import type * as actorTokens from '../../server/src/contract/actor-tokens.ts'
import type * as audit from '../../server/src/contract/audit.ts'
import type * as instance from '../../server/src/contract/instance.ts'
import type { Role } from '../../server/src/contract/operation.ts'
import type * as policy from '../../server/src/contract/policy.ts'
import type * as revocations from '../../server/src/contract/revocations.ts'
import type * as secretKeys from '../../server/src/contract/secret-keys.ts'
import type * as sessions from '../../server/src/contract/sessions.ts'
import type * as users from '../../server/src/contract/users.ts'

export type { Right, Role } from '../../server/src/contract/operation.ts'
export type ActorToken = z.infer<typeof actorTokens.ActorToken>
export type AuditEvent = z.infer<typeof audit.AuditEvent>
export type Instance = z.infer<typeof instance.Instance>
export type Policy = z.infer<typeof policy.Policy>
export type PolicyCheck = z.infer<typeof policy.PolicyCheck>
export type PolicyDecision = z.infer<typeof policy.PolicyDecision>
export type PolicyWhatIf = z.infer<typeof policy.PolicyWhatIf>
export type Revocation = z.infer<typeof revocations.revokeAllSessions.response>
export type SecretKey = z.infer<typeof secretKeys.SecretKey>
export type CreatedSecretKey = z.infer<typeof secretKeys.CreatedSecretKey>
export type Session = z.infer<typeof sessions.Session>
export type User = z.infer<typeof users.User>

/** One page of a list. */
export interface Page<T> {
  data: T[]
  total_count?: number
  total_count_is_minimum?: true
  next_cursor?: string
}

/** An active session in which an actor acts as a user. */
export interface Acting {
  object: 'acting'
  id: string
  session_id: string
  user_id: string
  user: { id: string; name: string | null; email: string | null }
  actor: { sub: string; [member: string]: unknown }
  actor_sub: string
  kind: 'operator' | 'agent'
  reason: string | null
  reason_category: string | null
  ticket: string | null
  access: 'read' | 'write'
  scopes: string[] | null
  began_at: number
  expire_at: number
  actor_token_id: string | null
}

export interface SearchResult {
  object: 'search'
  users: User[]
  sessions: Session[]
  actor_tokens: ActorToken[]
}

export interface Stats {
  object: 'stats'
  minutes: { at: number; created: number; redeemed: number; refused: number; ended: number; acting: number }[]
}

export interface SigningKey {
  object: 'signing_key'
  id: string
  alg: string
  status: 'next' | 'active' | 'retiring' | 'removed'
  created_at: number
  retired_at: number | null
}

export interface Operator {
  object: 'operator'
  id: string
  name: string | null
  email: string | null
  role: Role
  role_source: 'claim' | 'link' | 'development'
  sub: string
  disabled_at: number | null
  last_sign_in_at: number | null
  created_at: number
}

export interface OperatorSession {
  object: 'operator_session'
  id: string
  operator_id: string
  user_agent: string | null
  address: string | null
  created_at: number
  last_seen_at: number
  expires_at: number
  is_current: boolean
  ended_at: number | null
}

/** The answer of `GET /console/api/me`. */
export interface Me {
  object: 'operator_session'
  operator: { id: string; name: string | null; email: string | null; role: Role; sub: string }
  role: Role
  operations: string[]
  step_up_until: number | null
  expires_at: number
  idle_expires_at: number
  settings: {
    environment: 'development' | 'production'
    public_url: string
    instance_id: string
    default_duration: number
    max_duration: number
    reason_categories: string[]
    idp_host: string | null
    scope_understood: boolean
  }
}

/** The shapes of the API, as the contract describes them. Only types: nothing of the server is in the console. */
import type { z } from 'zod'
import type * as acting from '../../server/src/contract/acting.ts'
import type * as actorTokens from '../../server/src/contract/actor-tokens.ts'
import type * as audit from '../../server/src/contract/audit.ts'
import type * as own from '../../server/src/contract/console.ts'
import type * as instance from '../../server/src/contract/instance.ts'
import type * as operators from '../../server/src/contract/operators.ts'
import type * as policy from '../../server/src/contract/policy.ts'
import type * as revocations from '../../server/src/contract/revocations.ts'
import type * as search from '../../server/src/contract/search.ts'
import type * as secretKeys from '../../server/src/contract/secret-keys.ts'
import type * as sessions from '../../server/src/contract/sessions.ts'
import type * as signingKeys from '../../server/src/contract/signing-keys.ts'
import type * as stats from '../../server/src/contract/stats.ts'
import type * as users from '../../server/src/contract/users.ts'

export type { Right, Role } from '../../server/src/contract/operation.ts'
export type Acting = z.infer<typeof acting.Acting>
export type ActorToken = z.infer<typeof actorTokens.ActorToken>
export type AuditEvent = z.infer<typeof audit.AuditEvent>
export type Instance = z.infer<typeof instance.Instance>
/** The answer of `GET /console/api/me`. */
export type Me = z.infer<typeof own.getConsoleMe.response>
export type Operator = z.infer<typeof operators.Operator>
export type OperatorSession = z.infer<typeof operators.OperatorSession>
export type Policy = z.infer<typeof policy.Policy>
export type PolicyCheck = z.infer<typeof policy.PolicyCheck>
export type PolicyDecision = z.infer<typeof policy.PolicyDecision>
export type PolicyWhatIf = z.infer<typeof policy.PolicyWhatIf>
export type Revocation = z.infer<typeof revocations.revokeAllSessions.response>
export type SearchResult = z.infer<typeof search.Search>
export type SecretKey = z.infer<typeof secretKeys.SecretKey>
export type CreatedSecretKey = z.infer<typeof secretKeys.CreatedSecretKey>
export type Session = z.infer<typeof sessions.Session>
export type SigningKey = z.infer<typeof signingKeys.SigningKey>
export type Stats = z.infer<typeof stats.Stats>
export type User = z.infer<typeof users.User>

/** One page of a list. */
export interface Page<T> {
  data: T[]
  total_count?: number
  total_count_is_minimum?: true
  next_cursor?: string
}

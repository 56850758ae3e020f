import { acting } from './acting.ts'
import { actorTokens } from './actor-tokens.ts'
import { actors } from './actors.ts'
import { audit, auditEvents, refusedRequests } from './audit.ts'
import { clients } from './clients.ts'
import { instance } from './instance.ts'
import { jwks } from './jwks.ts'
import { jwtTemplates } from './jwt-templates.ts'
import { operatorSessions, operators } from './operators.ts'
import { policy } from './policy.ts'
import type { Resource } from './resource.ts'
import { search } from './search.ts'
import { secretKeys } from './secret-keys.ts'
import { sessions } from './sessions.ts'
import { signInTokens } from './sign-in-tokens.ts'
import { signingKeys } from './signing-keys.ts'
import { stats } from './stats.ts'
import { tags } from './tags.ts'
import { teams } from './teams.ts'
import { users } from './users.ts'

/** Every resource whose class is generated. */
export const resources: Resource[] = [
  actorTokens,
  signInTokens,
  users,
  actors,
  teams,
  tags,
  policy,
  acting,
  sessions,
  jwtTemplates,
  clients,
  jwks,
  auditEvents,
  audit,
  refusedRequests,
  search,
  stats,
  secretKeys,
  signingKeys,
  operators,
  operatorSessions,
  instance,
]

/**
 * What is written by hand, because it is not one request with one answer: the methods, and the operations of the contract
 * that have no other method. `Users`, `Sessions`, `Acting`, `AuditEvents` and `Audit` are generated and take these methods from `resources/hand-written/` and
 * `resources/hand_written/`. `Revocations` is written by hand as a whole.
 */
export const handWritten: Record<string, { methods: string[]; operations: string[] }> = {
  Users: { methods: ['find_or_create'], operations: [] },
  Sessions: {
    methods: ['is_active', 'touch', 'get_token'],
    operations: ['CreateSessionToken', 'CreateSessionTokenFromTemplate'],
  },
  AuditEvents: { methods: ['download'], operations: ['ExportAuditEvents'] },
  Audit: { methods: ['checkpoint', 'tile'], operations: ['GetAuditCheckpoint', 'GetAuditTile'] },
  Acting: { methods: ['follow'], operations: ['FollowActing'] },
  Revocations: { methods: ['follow'], operations: ['FollowRevocations'] },
}

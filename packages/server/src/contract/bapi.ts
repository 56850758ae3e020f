import * as acting from './acting.ts'
import * as actorTokens from './actor-tokens.ts'
import * as actors from './actors.ts'
import * as audit from './audit.ts'
import * as auditLog from './audit-log.ts'
import * as clients from './clients.ts'
import * as groups from './groups.ts'
import * as instance from './instance.ts'
import * as jwks from './jwks.ts'
import * as jwtTemplates from './jwt-templates.ts'
import type { Operation } from './operation.ts'
import * as operators from './operators.ts'
import * as policy from './policy.ts'
import * as revocations from './revocations.ts'
import * as search from './search.ts'
import * as secretKeys from './secret-keys.ts'
import * as sessions from './sessions.ts'
import * as signInTokens from './sign-in-tokens.ts'
import * as signingKeys from './signing-keys.ts'
import * as stats from './stats.ts'
import * as users from './users.ts'

/** Every operation of the Backend API, in the order of the reference. */
export const bapi: Operation[] = [
  actorTokens.createActorToken,
  actorTokens.listActorTokens,
  actorTokens.getActorToken,
  actorTokens.revokeActorToken,
  actorTokens.acceptActorToken,
  signInTokens.createSignInToken,
  signInTokens.listSignInTokens,
  signInTokens.revokeSignInToken,
  users.listUsers,
  users.countUsers,
  users.createUser,
  users.getUser,
  users.updateUser,
  users.updateUserMetadata,
  users.deleteUser,
  users.banUser,
  users.unbanUser,
  users.lockUser,
  users.unlockUser,
  actors.listActors,
  actors.getActor,
  actors.putActor,
  actors.deleteActor,
  groups.listTeams,
  groups.getTeam,
  groups.putTeam,
  groups.deleteTeam,
  groups.listTags,
  groups.getTag,
  groups.putTag,
  groups.deleteTag,
  policy.getPolicy,
  policy.putPolicy,
  policy.listPolicyVersions,
  policy.rollbackPolicy,
  policy.checkPolicy,
  policy.whatIfPolicy,
  policy.explainPolicy,
  acting.listActing,
  acting.followActing,
  sessions.listSessions,
  sessions.createSession,
  sessions.getSession,
  sessions.revokeSession,
  revocations.revokeAllSessions,
  revocations.followRevocations,
  sessions.createSessionToken,
  clients.getHandshakePayload,
  sessions.createSessionTokenFromTemplate,
  search.search,
  jwtTemplates.listJwtTemplates,
  jwtTemplates.createJwtTemplate,
  jwtTemplates.getJwtTemplate,
  jwtTemplates.updateJwtTemplate,
  jwtTemplates.deleteJwtTemplate,
  clients.getClient,
  clients.verifyClient,
  jwks.getJwks,
  secretKeys.listSecretKeys,
  secretKeys.createSecretKey,
  secretKeys.revokeSecretKey,
  signingKeys.listSigningKeys,
  signingKeys.rotateSigningKeys,
  signingKeys.removeSigningKey,
  operators.listOperators,
  operators.getOperator,
  operators.inviteOperator,
  operators.disableOperator,
  operators.enableOperator,
  operators.listOperatorSessions,
  operators.endOperatorSession,
  instance.getInstance,
  audit.listAuditEvents,
  audit.exportAuditEvents,
  audit.getAuditEvent,
  auditLog.getAuditEventProof,
  auditLog.getAuditCheckpoint,
  auditLog.listAuditCheckpoints,
  auditLog.getAuditTile,
  auditLog.getAuditConsistency,
  auditLog.listAuditKeys,
  audit.listRefusedRequests,
  stats.getStats,
]

import * as tokens from './actor-tokens.ts'
import * as audit from './audit.ts'
import * as clients from './clients.ts'
import * as jwtTemplates from './jwt-templates.ts'
import * as keys from './keys.ts'
import type { Operation } from './operation.ts'
import * as revocations from './revocations.ts'
import * as sessions from './sessions.ts'
import * as users from './users.ts'

/** Every operation of the Backend API, in the order of the reference. */
export const bapi: Operation[] = [
  tokens.createActorToken,
  tokens.listActorTokens,
  tokens.getActorToken,
  tokens.revokeActorToken,
  tokens.acceptActorToken,
  tokens.createSignInToken,
  tokens.listSignInTokens,
  tokens.revokeSignInToken,
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
  sessions.listSessions,
  sessions.createSession,
  sessions.getSession,
  sessions.revokeSession,
  revocations.revokeAllSessions,
  revocations.followRevocations,
  sessions.createSessionToken,
  clients.getHandshakePayload,
  sessions.createSessionTokenFromTemplate,
  jwtTemplates.listJwtTemplates,
  jwtTemplates.createJwtTemplate,
  jwtTemplates.getJwtTemplate,
  jwtTemplates.updateJwtTemplate,
  jwtTemplates.deleteJwtTemplate,
  clients.getClient,
  clients.verifyClient,
  keys.getJwks,
  audit.listAuditEvents,
  audit.listRefusedRequests,
]

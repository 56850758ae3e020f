import * as tokens from './actor-tokens.ts'
import * as environment from './environment.ts'
import * as frontend from './frontend-client.ts'
import * as keys from './keys.ts'
import * as me from './me.ts'
import type { Operation } from './operation.ts'

/** Every operation of the Frontend API and the public addresses, in the order of the reference. */
export const fapi: Operation[] = [
  tokens.acceptTicket,
  tokens.confirmTicket,
  frontend.createSignIn,
  frontend.getFrontendClient,
  frontend.handshakeClient,
  frontend.endAllSessions,
  frontend.deleteClient,
  frontend.getFrontendSession,
  frontend.createFrontendSessionToken,
  frontend.createFrontendSessionTokenFromTemplate,
  frontend.touchSession,
  frontend.endSession,
  frontend.removeSession,
  me.getMe,
  me.listMySessions,
  me.listMyActiveSessions,
  me.listMyEmailAddresses,
  me.listMyPhoneNumbers,
  me.listMyOrganizationMemberships,
  environment.getEnvironment,
  environment.updateEnvironment,
  environment.createDevBrowser,
  keys.getPublicJwks,
  keys.getHealth,
  keys.getReadiness,
]

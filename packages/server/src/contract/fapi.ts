import * as environment from './environment.ts'
import * as frontend from './frontend-client.ts'
import * as health from './health.ts'
import * as jwks from './jwks.ts'
import * as me from './me.ts'
import type { Operation } from './operation.ts'
import * as tickets from './tickets.ts'

/** Every operation of the Frontend API and the public addresses, in the order of the reference. */
export const fapi: Operation[] = [
  tickets.acceptTicket,
  tickets.confirmTicket,
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
  jwks.getPublicJwks,
  health.getHealth,
  health.getReadiness,
]

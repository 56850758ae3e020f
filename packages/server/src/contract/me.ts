import { z } from 'zod'
import { FrontendSession, FrontendUser, wrapped } from './frontend-client.ts'
import { Id, listOf, listQuery, operation } from './operation.ts'
import { EmailAddress, PhoneNumber } from './users.ts'

/** What a browser can read about its own user. It is read-only: the Backend API changes users. */

/** A session in the list of the user's sessions on all devices. `actor` is who acted as the user in it. */
export const SessionWithActivities = FrontendSession.omit({ user: true })
  .extend({
    latest_activity: z
      .strictObject({ object: z.literal('session_activity'), id: z.string(), is_mobile: z.literal(false) })
      .describe('Stagedoor stores nothing about the device.'),
  })
  .meta({ id: 'SessionWithActivities' })

const whose = { _clerk_session_id: Id.optional().describe('A session of the client. Default: the selected one.') }

const mine = <R extends z.ZodType>(id: string, path: string, tag: string, summary: string, response: R) =>
  operation({
    id,
    method: 'get',
    path,
    tag,
    summary,
    auth: 'client',
    query: z.looseObject(whose),
    response,
    errors: ['authentication_invalid'],
  })

export const getMe = mine(
  'getUser',
  '/v1/me',
  'User',
  'The user of the session',
  wrapped(FrontendUser).meta({ id: 'WrappedUser' }),
)

export const listMySessions = mine(
  'getUsersSessions',
  '/v1/me/sessions',
  'Sessions',
  'The user’s sessions on all devices, newest first, with who acted in them',
  z.array(SessionWithActivities),
)

export const listMyActiveSessions = mine(
  'getSessions',
  '/v1/me/sessions/active',
  'Active Sessions',
  'The user’s sessions that have not ended',
  z.array(SessionWithActivities),
)

export const listMyEmailAddresses = mine(
  'getEmailAddresses',
  '/v1/me/email_addresses',
  'Email Addresses',
  'The user’s e-mail addresses',
  z.array(EmailAddress),
)

export const listMyPhoneNumbers = mine(
  'getPhoneNumbers',
  '/v1/me/phone_numbers',
  'Phone Numbers',
  'The user’s phone numbers',
  z.array(PhoneNumber),
)

export const listMyOrganizationMemberships = operation({
  id: 'getOrganizationMemberships',
  method: 'get',
  path: '/v1/me/organization_memberships',
  tag: 'Organizations Memberships',
  summary: 'An empty list: Stagedoor has no organizations',
  auth: 'client',
  query: z.looseObject({ ...whose, ...listQuery }),
  response: wrapped(listOf(z.never())).meta({ id: 'WrappedOrganizationMemberships' }),
  errors: ['authentication_invalid'],
})

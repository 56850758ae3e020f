import { z } from 'zod'
import { commaList, hasMore, refuse, url } from './config-forms.ts'

/** The settings of the console for operators. */

/** As in contract/operation.ts. */
const OPERATOR_ROLES = ['viewer', 'support', 'approver', 'admin'] as const

/** An origin as browsers send it. */
const originURL = url.transform((text, context) => {
  const address = new URL(text)
  if (hasMore(address) || address.pathname !== '/')
    return refuse(context, `must be an origin, without a path. Use ${address.origin}`)
  return address.origin
})

/** The groups of each role: `admin:sd-admins,support:sd-support`. A group may contain colons. */
const groupsOfRoles = commaList.transform((entries, context) =>
  entries.map(entry => {
    const [, role, group = ''] = /^(\w+):(.+)$/.exec(entry) ?? []
    const known = OPERATOR_ROLES.find(each => each === role)
    if (known === undefined)
      return refuse(context, `must be a list of ROLE:GROUP, where ROLE is one of ${OPERATOR_ROLES.join(', ')}`)
    return [known, group.trim()] as const
  }),
)

const issuerURL = url.refine(text => !hasMore(new URL(text)), { error: 'must have no user name, query or fragment' })

export const consoleSettings = {
  console: z
    .enum(['on', 'off'])
    .optional()
    .describe(
      '`on` serves the console for operators at `/console`. Default: `on` in development, and in production as soon as operators can sign in: with STAGEDOOR_OPERATOR_ISSUER, or after `stagedoor operators invite`.',
    ),
  console_url: originURL
    .optional()
    .describe(
      'Origin of the console, if it has a host name of its own, like https://stagedoor-console.example.com: then a flaw of another page on the public origin cannot reach it. `/console` answers only there. Your proxy must pass on the Host header. Default: the origin of STAGEDOOR_PUBLIC_URL; in development, `localhost`.',
    ),
  operator_issuer: issuerURL
    .optional()
    .describe(
      'Issuer of the OpenID Connect identity provider with which operators sign in to the console, like https://login.example.com.',
    ),
  operator_client_id: z.string().min(1).optional().describe('Id of this server at the identity provider.'),
  operator_client_secret: z.string().min(1).optional().describe('Secret of this server at the identity provider.'),
  operator_scopes: z
    .string()
    .regex(/(^| )openid( |$)/, { error: 'must be scopes separated by spaces, with `openid`' })
    .default('openid profile email')
    .describe(
      'Scopes that the console requests, separated by spaces. Some identity providers need `groups` for groups.',
    ),
  operator_role_claim: z
    .string()
    .min(1)
    .default('groups')
    .describe(
      'Claim of the ID token, or of the userinfo endpoint, that has the groups of an operator: a text or a list of texts. A claim inside another one is written with dots, like `realm_access.roles`.',
    ),
  operator_roles: groupsOfRoles.describe(
    'Group of each role, like `admin:sd-admins,approver:sd-leads,support:sd-support,viewer:sd-audit`. An operator gets the highest role of their groups; without any, they cannot sign in.',
  ),
  operator_actor_sub: z
    .enum(['sub', 'email'])
    .default('sub')
    .describe(
      'What becomes the `sub` of the actor when an operator acts as a user: the id at the identity provider, or the e-mail address. The audit log keeps it forever, also after personal data is erased.',
    ),
}

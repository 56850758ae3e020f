import type { z } from 'zod'
import type { Environment } from '../../contract/environment.ts'
import type { FrontendClient, FrontendSession, FrontendUser, SignIn } from '../../contract/frontend-client.ts'
import type { Health } from '../../contract/health.ts'
import type { JsonWebKeySet } from '../../contract/jwks.ts'
import type { SessionWithActivities } from '../../contract/me.ts'
import type { SessionToken } from '../../contract/sessions.ts'
import type { Context, Settings, Signing } from '../../domain/context.ts'
import type { ClientRecord, IdentifierRecord, SessionRecord, UserWithIdentifiers } from '../../domain/records.ts'
import { factorVerificationAge, statusAt } from '../../domain/sessions.ts'

/** Presents records to browsers, in the wire format. The types come from the contract: a missing or misspelt field does not compile. */

/** Presents a user for the browser: everything except the private metadata. */
export function presentFrontendUser(record: UserWithIdentifiers): z.input<typeof FrontendUser> {
  return {
    object: 'user',
    id: record.id,
    external_id: record.external_id,
    username: record.username,
    first_name: record.first_name,
    last_name: record.last_name,
    locale: record.locale,
    image_url: '',
    has_image: false,
    primary_email_address_id: record.primary_email_address_id,
    primary_phone_number_id: record.primary_phone_number_id,
    primary_web3_wallet_id: null,
    email_addresses: identifiers(record, 'email_address').map(identifier => ({
      object: 'email_address',
      email_address: identifier.value,
      ...contact(identifier),
    })),
    phone_numbers: identifiers(record, 'phone_number').map(identifier => ({
      object: 'phone_number',
      phone_number: identifier.value,
      reserved_for_second_factor: false,
      default_second_factor: false,
      ...contact(identifier),
    })),
    web3_wallets: [],
    passkeys: [],
    external_accounts: [],
    saml_accounts: [],
    enterprise_accounts: [],
    public_metadata: JSON.parse(record.public_metadata),
    unsafe_metadata: JSON.parse(record.unsafe_metadata),
    password_enabled: false,
    two_factor_enabled: false,
    totp_enabled: false,
    backup_code_enabled: false,
    mfa_enabled_at: null,
    mfa_disabled_at: null,
    banned: record.banned_at !== null,
    locked: record.locked_at !== null,
    lockout_expires_in_seconds: null,
    verification_attempts_remaining: null,
    delete_self_enabled: record.delete_self_enabled === 1,
    create_organization_enabled: record.create_organization_enabled === 1,
    legal_accepted_at: record.legal_accepted_at,
    last_sign_in_at: record.last_sign_in_at,
    last_active_at: record.last_active_at,
    created_at: record.created_at,
    updated_at: record.updated_at,
  }
}

function identifiers(record: UserWithIdentifiers, kind: IdentifierRecord['kind']): IdentifierRecord[] {
  return record.identifiers.filter(identifier => identifier.kind === kind)
}

function contact({ id, created_at, updated_at }: IdentifierRecord) {
  const verification = {
    object: 'verification_admin',
    status: 'verified',
    strategy: 'admin',
    attempts: null,
    expire_at: null,
  } as const
  return { id, reserved: false, verification, linked_to: [], created_at, updated_at }
}

/** Presents a session with its user (null if deleted), and with a new token if there is one. */
export interface SessionOfUser {
  session: SessionRecord
  user: UserWithIdentifiers | null
  token?: string | undefined
}

export function presentFrontendSession(
  ctx: Context,
  { session: stored, user, token }: SessionOfUser,
): z.input<typeof FrontendSession> {
  const session = ctx.activity.current(stored)
  const now = ctx.clock.now()
  return {
    object: 'session',
    id: session.id,
    status: statusAt(session, now),
    actor: session.actor === null ? null : JSON.parse(session.actor),
    user: user && presentFrontendUser(user),
    public_user_data: user && {
      first_name: user.first_name,
      last_name: user.last_name,
      image_url: '',
      has_image: false,
      identifier: identifierOf(user),
      user_id: user.id,
    },
    factor_verification_age: factorVerificationAge(session, now),
    last_active_organization_id: null,
    last_active_token: token === undefined ? null : presentToken(token),
    last_active_at: session.last_active_at,
    expire_at: session.expire_at,
    abandon_at: session.abandon_at,
    created_at: session.created_at,
    updated_at: session.updated_at,
    tasks: null,
  }
}

/** Presents a session in a list of the user's own sessions, so without the user. */
export function presentSessionWithActivities(
  ctx: Context,
  ofUser: SessionOfUser,
): z.input<typeof SessionWithActivities> {
  const { user: _, ...session } = presentFrontendSession(ctx, ofUser)
  return {
    ...session,
    latest_activity: { object: 'session_activity', id: session.id.replace('sess_', 'sact_'), is_mobile: false },
  }
}

/** Returns the identifier by which people recognize the user. */
export function identifierOf(user: UserWithIdentifiers): string {
  return user.identifiers[0]?.value ?? user.username ?? user.external_id ?? user.id
}

export function presentFrontendClient(
  ctx: Context,
  record: ClientRecord,
  sessions: SessionOfUser[],
): z.input<typeof FrontendClient> {
  return {
    object: 'client',
    id: record.id,
    sessions: sessions.map(session => presentFrontendSession(ctx, session)),
    sign_in: null,
    sign_up: null,
    last_active_session_id: record.last_active_session_id,
    last_authentication_strategy: sessions.length > 0 ? 'ticket' : null,
    cookie_expires_at: null,
    captcha_bypass: true,
    created_at: record.created_at,
    updated_at: record.updated_at,
  }
}

/** Presents a sign-in attempt. A ticket is redeemed in one step, so the attempt is always complete. */
export function presentSignIn(session: SessionRecord): z.input<typeof SignIn> {
  return {
    object: 'sign_in_attempt',
    id: session.id.replace('sess_', 'sia_'),
    status: 'complete',
    supported_identifiers: [],
    supported_first_factors: null,
    supported_second_factors: null,
    first_factor_verification: {
      object: 'verification_ticket',
      status: 'verified',
      strategy: 'ticket',
      attempts: null,
      expire_at: null,
    },
    second_factor_verification: null,
    identifier: null,
    user_data: null,
    created_session_id: session.id,
    abandon_at: session.abandon_at,
  }
}

export function presentToken(jwt: string): z.input<typeof SessionToken> {
  return { object: 'token', jwt }
}

export function presentJwks({ keys }: Awaited<ReturnType<Signing['jwks']>>): z.input<typeof JsonWebKeySet> {
  return { keys: keys.map(key => ({ ...key, use: 'sig' })) }
}

export function presentHealth(status: z.input<typeof Health>['status']): z.input<typeof Health> {
  return { status }
}

/** The URLs of pages are the app's: the page that redeems tickets, and the root of its site. */
export function presentEnvironment(settings: Settings): z.input<typeof Environment> {
  const signIn = settings.sign_in_url
  const home = new URL('/', signIn).href
  return {
    auth_config: {
      object: 'auth_config',
      id: `aconf_${settings.instance_id}`,
      single_session_mode: false,
      claimed_at: null,
      reverification: false,
    },
    display_config: {
      object: 'display_config',
      id: `display_config_${settings.instance_id}`,
      instance_environment_type: settings.environment,
      application_name: new URL(signIn).host,
      theme: { general: { color: '#1f2937' }, buttons: {}, accounts: {} },
      preferred_sign_in_strategy: 'otp',
      home_url: home,
      sign_in_url: signIn,
      sign_up_url: signIn,
      after_sign_in_url: home,
      after_sign_up_url: home,
      after_sign_out_one_url: home,
      after_sign_out_all_url: home,
      after_switch_session_url: home,
      branded: false,
      show_devmode_warning: false,
      captcha_public_key: null,
    },
    user_settings: {
      // No attributes, because people sign in by ticket: a form for an e-mail address would not work.
      attributes: {},
      actions: { delete_self: false, create_organization: false },
      social: {},
      sign_in: { second_factor: { required: false } },
      sign_up: { captcha_enabled: false, mode: 'restricted' },
      saml: { enabled: false },
      password_settings: {},
      username_settings: {},
    },
    organization_settings: {
      enabled: false,
      actions: { admin_delete: false },
      domains: { enabled: false, enrollment_modes: [] },
    },
    maintenance_mode: false,
  }
}

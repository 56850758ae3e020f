import { z } from 'zod'
import { operation } from './operation.ts'

/**
 * The first thing that Clerk's browser SDK requests: how this instance signs people in. Stagedoor signs in by ticket
 * only. A client can have several sessions, so acting as a user does not end the operator's own session.
 */
export const Environment = z
  .strictObject({
    auth_config: z.strictObject({
      object: z.literal('auth_config'),
      id: z.string(),
      single_session_mode: z.literal(false),
      claimed_at: z.null(),
      reverification: z.literal(false),
    }),
    display_config: z.strictObject({
      object: z.literal('display_config'),
      id: z.string(),
      instance_environment_type: z.enum(['development', 'production']),
      application_name: z.string(),
      theme: z.strictObject({
        general: z.strictObject({ color: z.string() }),
        buttons: z.strictObject({}),
        accounts: z.strictObject({}),
      }),
      preferred_sign_in_strategy: z.literal('otp'),
      home_url: z.string(),
      sign_in_url: z.string(),
      sign_up_url: z.string(),
      after_sign_in_url: z.string(),
      after_sign_up_url: z.string(),
      after_sign_out_one_url: z.string(),
      after_sign_out_all_url: z.string(),
      after_switch_session_url: z.string(),
      branded: z.literal(false),
      show_devmode_warning: z.literal(false),
      captcha_public_key: z.null(),
    }),
    user_settings: z.strictObject({
      attributes: z.strictObject({}),
      actions: z.strictObject({ delete_self: z.literal(false), create_organization: z.literal(false) }),
      social: z.strictObject({}),
      sign_in: z.strictObject({ second_factor: z.strictObject({ required: z.literal(false) }) }),
      sign_up: z.strictObject({ captcha_enabled: z.literal(false), mode: z.literal('restricted') }),
      saml: z.strictObject({ enabled: z.literal(false) }),
      password_settings: z.strictObject({}),
      username_settings: z.strictObject({}),
    }),
    organization_settings: z.strictObject({
      enabled: z.literal(false),
      actions: z.strictObject({ admin_delete: z.literal(false) }),
      domains: z.strictObject({ enabled: z.literal(false), enrollment_modes: z.array(z.string()) }),
    }),
    maintenance_mode: z.literal(false),
  })
  .meta({ id: 'Environment' })

const environment = (id: string, method: 'get' | 'patch', summary: string) =>
  operation({ id, method, path: '/v1/environment', tag: 'Environment', summary, auth: 'none', response: Environment })

export const getEnvironment = environment('getEnvironment', 'get', 'How this instance signs people in')
/** Development builds of Clerk's SDK send PATCH. It changes nothing. */
export const updateEnvironment = environment('updateEnvironment', 'patch', 'Same as the GET; changes nothing')

/** Clerk's SDKs request an id for the browser if a development instance is not on the app's site. Stagedoor does not use it. */
export const createDevBrowser = operation({
  id: 'createDevBrowser',
  method: 'post',
  path: '/v1/dev_browser',
  tag: 'DevBrowser',
  summary: 'Create an id for a development browser; it is not stored',
  auth: 'none',
  response: z.strictObject({ id: z.string() }).meta({ id: 'DevBrowser' }),
})

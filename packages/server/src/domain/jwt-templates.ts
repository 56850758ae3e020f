import type { z } from 'zod'
import { ApiError, type ErrorAbout, invalidParam, notFound } from '../contract/errors.ts'
import type { CreateJwtTemplateRequestBody, UpdateJwtTemplateRequestBody } from '../contract/jwt-templates.ts'
import { auditEvent } from './audit/event.ts'
import type { Context } from './context.ts'
import type { Once } from './idempotency.ts'
import type { Found, Page } from './lists.ts'
import { scopeClaim } from './policy-facts.ts'
import type { JwtTemplateRecord, Limits, SessionRecord } from './records.ts'
import { factsOf, rendered, wrongShortcodes } from './shortcodes.ts'
import { asIdentifierExists } from './unique-violation.ts'

type CreateJwtTemplate = z.output<typeof CreateJwtTemplateRequestBody>
type UpdateJwtTemplate = z.output<typeof UpdateJwtTemplateRequestBody>

/** Default lifetime and clock skew, in seconds: Clerk's defaults. */
const LIFETIME = 60
const CLOCK_SKEW = 5

/** Maximum size of a template, in bytes of JSON. */
const MAX_TEMPLATE_BYTES = 4_096
/** Maximum size of the claims of a token from a template, in bytes of JSON. */
const MAX_CLAIMS_BYTES = 16_384

/**
 * Claims that a template cannot set: those that the server writes into every token, and those that describe a session
 * token.
 */
const RESERVED = 'azp exp iat iss jti nbf sub v sts fva fea pla o'.split(' ')
/** Claims that a template may contain only as the shortcode that reads them, so that it cannot forge them. */
const ONLY_AS: Record<string, RegExp> = {
  sid: /^\{\{\s*session\.id\s*\}\}$/,
  act: /^\{\{\s*session\.actor\s*\}\}$/,
}

/** How a template passes on what a session may do. */
const PASSES_SCOPE = /^\{\{\s*session\.scope\s*\}\}$/

/**
 * Creates a JWT template.
 * @throws ApiError form_param_value_invalid, jwt_template_reserved_claim, form_identifier_exists
 */
export async function createJwtTemplate(
  ctx: Context,
  input: CreateJwtTemplate,
  once?: Once,
): Promise<JwtTemplateRecord> {
  assertOwnKey(ctx, input)
  const now = ctx.clock.now()
  const template: JwtTemplateRecord = {
    id: ctx.random.id('jtmp', now),
    name: input.name,
    claims: claimsText(input.claims),
    lifetime: input.lifetime ?? LIFETIME,
    allowed_clock_skew: input.allowed_clock_skew ?? CLOCK_SKEW,
    created_at: now,
    updated_at: now,
  }
  const key = once && { ...once, made_id: template.id }
  await asIdentifierExists(ctx.store.jwtTemplates.insert(template, templateEvent(ctx, 'create', template.id), key))
  return template
}

/** Returns a JWT template. @throws ApiError resource_not_found */
export async function getJwtTemplate(ctx: Context, input: { id: string }): Promise<JwtTemplateRecord> {
  const template = await ctx.store.jwtTemplates.find(input.id)
  if (!template) throw notFound('JWT template', input.id)
  return template
}

export function listJwtTemplates(ctx: Context, input: Page & { counted: boolean }): Promise<Found<JwtTemplateRecord>> {
  return ctx.store.jwtTemplates.list(input, input)
}

/**
 * Changes the given members; `null` restores the default.
 * @throws ApiError resource_not_found, form_param_value_invalid, jwt_template_reserved_claim, form_identifier_exists
 */
export async function updateJwtTemplate(
  ctx: Context,
  input: UpdateJwtTemplate & { id: string },
): Promise<JwtTemplateRecord> {
  assertOwnKey(ctx, input)
  const change: Partial<JwtTemplateRecord> = { updated_at: ctx.clock.now() }
  if (input.name !== undefined) change.name = input.name
  if (input.claims !== undefined) change.claims = claimsText(input.claims)
  if (input.lifetime !== undefined) change.lifetime = input.lifetime ?? LIFETIME
  if (input.allowed_clock_skew !== undefined) change.allowed_clock_skew = input.allowed_clock_skew ?? CLOCK_SKEW
  const event = templateEvent(ctx, 'update', input.id)
  const template = await asIdentifierExists(ctx.store.jwtTemplates.update(input.id, change, event))
  if (!template) throw notFound('JWT template', input.id)
  return template
}

/** Deletes a JWT template. @throws ApiError resource_not_found */
export async function deleteJwtTemplate(ctx: Context, input: { id: string }): Promise<void> {
  if (!(await ctx.store.jwtTemplates.delete(input.id, templateEvent(ctx, 'delete', input.id))))
    throw notFound('JWT template', input.id)
}

/** Returns the JWT template with a name. @throws ApiError resource_not_found */
export async function findTemplateByName(ctx: Context, name: string): Promise<JwtTemplateRecord> {
  const template = await ctx.store.jwtTemplates.findByName(name)
  if (!template)
    throw new ApiError('resource_not_found', { params: { what: `No JWT template exists with name: ${name}` } })
  return template
}

/**
 * Checks that a token from the template says what a limited session may do: otherwise a service that reads it would allow
 * everything.
 * @throws ApiError scope_not_understood
 */
export function assertPassesScope(template: JwtTemplateRecord, session: Limits, about: ErrorAbout): void {
  if (scopeClaim(session) === null) return
  const { scope } = JSON.parse(template.claims) as { scope?: unknown }
  if (typeof scope === 'string' && PASSES_SCOPE.test(scope)) return
  throw new ApiError('scope_not_understood', {
    about,
    action: `If the services that read tokens of the template \`${template.name}\` apply the claim \`scope\`, add \`"scope": "{{session.scope}}"\` to it.`,
  })
}

/**
 * Returns the lifetime of a token from the template, in seconds. While acting it is at most that of a session token.
 */
export function templateLifetime(ctx: Context, template: JwtTemplateRecord, session: SessionRecord): number {
  const { session_token_lifetime_seconds: most } = ctx.settings
  return session.actor === null ? template.lifetime : Math.min(template.lifetime, most)
}

/**
 * Returns the claims of a token from a template, as JSON. The server's own claims come last, so nothing overrides them.
 * While acting they include `act`, even if the template does not.
 * @throws ApiError request_invalid if they would be too large, authentication_invalid if the user is deleted
 */
export async function templateClaims(
  ctx: Context,
  template: JwtTemplateRecord,
  session: SessionRecord,
  { iat, exp, azp }: { iat: number; exp: number; azp: string | undefined },
): Promise<string> {
  const user = await ctx.store.users.find(session.user_id)
  if (!user) throw new ApiError('authentication_invalid')
  const own = rendered(JSON.parse(template.claims), factsOf(session, user)) as Record<string, unknown>
  if (session.actor !== null) delete own.act
  const text = JSON.stringify({
    ...own,
    ...(azp === undefined ? {} : { azp }),
    exp,
    iat,
    iss: ctx.settings.public_url,
    jti: ctx.random.bytes(10).toString('hex'),
    nbf: iat - template.allowed_clock_skew,
    sub: session.user_id,
  })
  // The stored text of the actor, value for value.
  const claims = session.actor === null ? text : `${text.slice(0, -1)},"act":${session.actor}}`
  const bytes = Buffer.byteLength(claims)
  if (bytes <= MAX_CLAIMS_BYTES) return claims
  throw new ApiError('request_invalid', {
    params: { why: `The claims would be ${bytes} bytes of JSON; at most ${MAX_CLAIMS_BYTES} are allowed.` },
    action: `Change the template \`${template.name}\` to use single members of the metadata, not all of it.`,
  })
}

/**
 * Checks and encodes the claims of a template.
 * @throws ApiError form_param_value_invalid, jwt_template_reserved_claim
 */
function claimsText(claims: Record<string, unknown>): string {
  for (const [claim, value] of Object.entries(claims)) assertNotReserved(claim, value)
  const wrong = [...new Set(wrongShortcodes(claims))].slice(0, 10).map(each => `\`${each.slice(0, 80)}\``)
  if (wrong.length > 0) {
    throw invalidParam(
      'claims',
      `No such shortcode: ${wrong.join(', ')}. docs/concepts/jwt-templates.md lists all of them.`,
    )
  }
  const text = JSON.stringify(claims)
  const bytes = Buffer.byteLength(text)
  if (bytes <= MAX_TEMPLATE_BYTES) return text
  throw invalidParam('claims', `\`claims\` is ${bytes} bytes as JSON; at most ${MAX_TEMPLATE_BYTES} are allowed.`)
}

function assertNotReserved(claim: string, value: unknown): void {
  const only = Object.hasOwn(ONLY_AS, claim) ? ONLY_AS[claim] : undefined
  if (only ? typeof value === 'string' && only.test(value) : !RESERVED.includes(claim)) return
  throw new ApiError('jwt_template_reserved_claim', {
    params: { claim },
    meta: { param_name: 'claims' },
    ...(only
      ? { action: `It can only be \`{{session.${claim === 'sid' ? 'id' : 'actor'}}}\`, so that it cannot be forged.` }
      : {}),
  })
}

/** Rejects custom signing keys: the server signs tokens from templates with its own key. */
function assertOwnKey(ctx: Context, input: Omit<UpdateJwtTemplate, 'name' | 'claims'>): void {
  const { signing_alg } = ctx.settings
  const why = `The server signs tokens of templates with its own ${signing_alg} key. Verify them with its key set.`
  if (input.custom_signing_key) throw invalidParam('custom_signing_key', why)
  if (input.signing_key) throw invalidParam('signing_key', why)
  if (input.signing_algorithm && input.signing_algorithm !== signing_alg) throw invalidParam('signing_algorithm', why)
}

function templateEvent(ctx: Context, verb: string, target_id: string) {
  return auditEvent(ctx, { action: `jwt_template.${verb}`, about: {}, target_id })
}

import type { z } from 'zod'
import type { Acting } from '../../contract/acting.ts'
import type { ActorToken } from '../../contract/actor-tokens.ts'
import type { RegisteredActor } from '../../contract/actors.ts'
import type { AuditEvent, RefusedRequests } from '../../contract/audit.ts'
import type { Client } from '../../contract/clients.ts'
import type { JwtTemplate } from '../../contract/jwt-templates.ts'
import type { DeletedObject } from '../../contract/operation.ts'
import type { revokeAllSessions } from '../../contract/revocations.ts'
import type { CreatedSecretKey as CreatedKey, SecretKey } from '../../contract/secret-keys.ts'
import type { ActingSession, Session } from '../../contract/sessions.ts'
import type { SignInToken } from '../../contract/sign-in-tokens.ts'
import type { SigningKeys } from '../../contract/signing-keys.ts'
import type { TotalCount, User } from '../../contract/users.ts'
import { kindOf } from '../../domain/acting.ts'
import { ticketOf } from '../../domain/actor-tokens.ts'
import { leafHashHex } from '../../domain/audit/event.ts'
import { factsOf, personalOf } from '../../domain/audit/facts.ts'
import type { ClientWithSessions } from '../../domain/clients.ts'
import type { Context } from '../../domain/context.ts'
import type { Counted } from '../../domain/lists.ts'
import { statedReason } from '../../domain/policy.ts'
import { scopesOf } from '../../domain/policy-facts.ts'
import type {
  ActingRecord,
  ActorRecord,
  ActorTokenRecord,
  AuditRow,
  JwtTemplateRecord,
  RefusedRequestsRecord,
  SecretKeyRecord,
  SessionRecord,
  SigningKeyRecord,
  UserWithIdentifiers,
} from '../../domain/records.ts'
import type { RevokedAll } from '../../domain/revocations.ts'
import { type CreatedSecretKey, rightsOf } from '../../domain/secret-keys.ts'
import { statusAt } from '../../domain/sessions.ts'

import { presentFrontendUser } from '../fapi/present.ts'
import { presentCount } from './lists.ts'

/** Presents records to servers, in the wire format. The types come from the contract: a missing or misspelt field does not compile. */

/** @param fresh whether to include the ticket, which is shown once, right after creation */
export function presentActorToken(ctx: Context, record: ActorTokenRecord, fresh: boolean): z.input<typeof ActorToken> {
  const { category, ticket } = statedReason(record)
  return {
    object: 'actor_token',
    id: record.id,
    status: record.status,
    user_id: record.user_id,
    actor: JSON.parse(record.actor ?? 'null'),
    access: record.access,
    scopes: scopesOf(record),
    ...(record.reason === null ? {} : { reason: record.reason }),
    ...(category === undefined ? {} : { reason_category: category }),
    ...(ticket === undefined ? {} : { ticket }),
    ...(record.return_url === null ? {} : { return_url: record.return_url }),
    ...(fresh ? ticketAndUrl(ctx, record) : {}),
    ...(fresh ? {} : { expires_at: record.expires_at }),
    ...(record.session_id === null ? {} : { session_id: record.session_id }),
    created_at: record.created_at,
    updated_at: record.updated_at,
  }
}

export function presentSignInToken(
  ctx: Context,
  record: ActorTokenRecord,
  fresh: boolean,
): z.input<typeof SignInToken> {
  return {
    object: 'sign_in_token',
    id: record.id,
    status: record.status,
    user_id: record.user_id,
    ...(fresh ? ticketAndUrl(ctx, record) : { expires_at: record.expires_at }),
    ...(record.session_id === null ? {} : { session_id: record.session_id }),
    created_at: record.created_at,
    updated_at: record.updated_at,
  }
}

function ticketAndUrl(ctx: Context, record: ActorTokenRecord): { token: string; url: string } {
  const token = ticketOf(ctx, record)
  return { token, url: `${ctx.settings.public_url}/v1/tickets/accept?ticket=${token}` }
}

/** A session that an actor token started. */
export function presentActingSession(ctx: Context, stored: SessionRecord): z.input<typeof ActingSession> {
  return { ...presentSession(ctx, stored), actor: JSON.parse(stored.actor ?? 'null'), access: stored.access }
}

export function presentActing(record: ActingRecord): z.input<typeof Acting> {
  const { category = null, ticket = null } = statedReason(record)
  return {
    object: 'acting',
    id: record.id,
    session_id: record.id,
    user_id: record.user_id,
    user: { id: record.user_id, name: nameOf(record.user), email: record.user.email_address },
    actor: JSON.parse(record.actor),
    actor_sub: record.actor_sub,
    kind: kindOf(record),
    reason: record.reason,
    reason_category: category,
    ticket,
    access: record.access,
    scopes: scopesOf(record),
    began_at: record.created_at,
    expire_at: record.expire_at,
    actor_token_id: record.actor_token_id,
  }
}

function nameOf({ first_name, last_name, username }: ActingRecord['user']): string | null {
  return [first_name, last_name].filter(Boolean).join(' ') || username
}

export function presentSession(ctx: Context, stored: SessionRecord): z.input<typeof Session> {
  const record = ctx.activity.current(stored)
  const { category = null, ticket = null } = statedReason(record)
  return {
    object: 'session',
    id: record.id,
    user_id: record.user_id,
    client_id: record.client_id,
    actor: record.actor === null ? null : JSON.parse(record.actor),
    access: record.actor === null ? null : record.access,
    scopes: scopesOf(record),
    reason: record.reason,
    reason_category: category,
    ticket,
    status: statusAt(record, ctx.clock.now()),
    last_active_organization_id: null,
    last_active_at: record.last_active_at,
    latest_activity: null,
    expire_at: record.expire_at,
    abandon_at: record.abandon_at,
    created_at: record.created_at,
    updated_at: record.updated_at,
    tasks: null,
  }
}

export function presentRevocation(revoked: RevokedAll): z.input<typeof revokeAllSessions.response> {
  const { scope, subject, at, sessions, actor_tokens, complete, matched, similar } = revoked
  return {
    object: 'revocation',
    user_id: scope === 'user' ? subject : null,
    actor_sub: scope === 'actor' ? subject : null,
    everything: scope === 'everything',
    not_before: at,
    revoked_sessions: sessions,
    revoked_tokens: actor_tokens,
    complete,
    matched,
    ...(matched ? {} : { similar_actor_subs: similar }),
  }
}

export function presentClient(ctx: Context, { record, sessions }: ClientWithSessions): z.input<typeof Client> {
  return {
    object: 'client',
    id: record.id,
    session_ids: sessions.map(session => session.id),
    sessions: sessions.map(session => presentSession(ctx, session)),
    sign_in_id: null,
    sign_up_id: null,
    last_active_session_id: record.last_active_session_id,
    last_authentication_strategy: sessions.length > 0 ? 'ticket' : null,
    created_at: record.created_at,
    updated_at: record.updated_at,
  }
}

export function presentUser(record: UserWithIdentifiers): z.input<typeof User> {
  return {
    ...presentFrontendUser(record),
    private_metadata: JSON.parse(record.private_metadata),
  }
}

/** Builds an event from its text, which is what the log proves: never from the columns. */
export function presentAuditEvent(record: AuditRow): z.input<typeof AuditEvent> {
  const facts = factsOf(record.event)
  const personal = personalOf(record.personal, facts.personal_hash)
  return {
    object: 'audit_event',
    id: facts.id,
    seq: record.seq,
    leaf_index: record.leaf_index,
    at: facts.at,
    action: facts.action,
    outcome: facts.outcome,
    code: facts.code,
    principal: facts.principal,
    actor_sub: facts.actor_sub,
    actor: personal.actor as z.input<typeof AuditEvent>['actor'],
    actor_token_id: facts.actor_token_id,
    session_id: facts.session_id,
    user_id: facts.user_id,
    target_id: facts.target_id,
    reason: personal.reason,
    details: facts.details,
    address: personal.address,
    user_agent: personal.user_agent,
    trace_id: facts.trace_id,
    leaf_hash: leafHashHex(record.event),
  }
}

export function presentActor(record: ActorRecord): z.input<typeof RegisteredActor> {
  const { sub, kind, name, teams, organizations, level, user_id, owner_sub, disabled_at, created_at, updated_at } =
    record
  return {
    object: 'actor',
    sub,
    kind,
    name,
    teams: JSON.parse(teams),
    organizations: JSON.parse(organizations),
    level,
    user_id,
    owner_sub,
    disabled: disabled_at !== null,
    created_at,
    updated_at,
  }
}

export function presentRefusedRequests(record: RefusedRequestsRecord): z.input<typeof RefusedRequests> {
  return { object: 'refused_requests', ...record }
}

export function presentTotalCount(counted: Counted): z.input<typeof TotalCount> {
  return { object: 'total_count', ...presentCount(counted) }
}

export function presentDeleted(object: 'user' | 'jwt_template', id: string): z.input<typeof DeletedObject> {
  return { object, id, deleted: true }
}

export function presentJwtTemplate(ctx: Context, record: JwtTemplateRecord): z.input<typeof JwtTemplate> {
  return {
    object: 'jwt_template',
    id: record.id,
    name: record.name,
    claims: JSON.parse(record.claims),
    lifetime: record.lifetime,
    allowed_clock_skew: record.allowed_clock_skew,
    custom_signing_key: false,
    signing_algorithm: ctx.settings.signing_alg,
    created_at: record.created_at,
    updated_at: record.updated_at,
  }
}

export function presentSecretKey(_ctx: Context, record: SecretKeyRecord): z.input<typeof SecretKey> {
  return {
    object: 'secret_key',
    id: record.id,
    name: record.name,
    hint: record.hint,
    rights: rightsOf(record),
    created_at: record.created_at,
    expires_at: record.expires_at,
    revoked_at: record.revoked_at,
  }
}

export function presentCreatedSecretKey(ctx: Context, created: CreatedSecretKey): z.input<typeof CreatedKey> {
  return { ...presentSecretKey(ctx, created.record), secret: created.secret }
}

export function presentSigningKeys(records: SigningKeyRecord[]): z.input<typeof SigningKeys> {
  const data = records.map(({ id, alg, status, created_at, retired_at }) => ({
    object: 'signing_key' as const,
    id,
    alg,
    status,
    created_at,
    retired_at,
  }))
  return { object: 'signing_keys', data }
}

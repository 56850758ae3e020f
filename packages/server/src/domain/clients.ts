import { hash, timingSafeEqual } from 'node:crypto'
import { ApiError, notFound } from '../contract/errors.ts'
import type { Context } from './context.ts'
import type { ClientRecord, SessionRecord } from './records.ts'

/** A client and the value of its cookie. */
export interface ClientToken {
  record: ClientRecord
  token: string
}

/** The client a `__client` cookie speaks for; undefined if it is not ours, or was replaced at a later sign-in. */
export async function readClient(ctx: Context, cookie: string): Promise<ClientToken | undefined> {
  const claims = readClientClaims(ctx, cookie)
  const record = claims && (await ctx.store.clients.find(claims.id))
  if (!record || !sameToken(record.rotating_token_hash, claims.rotating_token)) return undefined
  return { record, token: cookie }
}

/** What the cookie says, if this server signed it. Says nothing of whether it is still good: see `sameToken`. */
export function readClientClaims(ctx: Context, cookie: string) {
  const claims = ctx.signing.readClientToken(cookie)
  return claims?.iid === ctx.settings.instance_id ? claims : undefined
}

export function sameToken(rotatingTokenHash: string, rotatingToken: string): boolean {
  return timingSafeEqual(Buffer.from(rotatingTokenHash), Buffer.from(hash('sha256', rotatingToken)))
}

/** A new client, or the one given with a new token: a cookie that someone planted or kept is worth nothing after a sign-in. */
export function renewedClient(ctx: Context, client: ClientToken | undefined, now: number): ClientToken {
  const rotating_token = ctx.random.bytes(16).toString('base64url')
  const record: ClientRecord = {
    id: client?.record.id ?? ctx.random.id('client', now),
    rotating_token_hash: hash('sha256', rotating_token),
    last_active_session_id: client?.record.last_active_session_id ?? null,
    created_at: client?.record.created_at ?? now,
    updated_at: now,
  }
  const token = ctx.signing.clientToken({ id: record.id, iid: ctx.settings.instance_id, rotating_token })
  return { record, token }
}

/** @throws ApiError resource_not_found */
export async function getClient(ctx: Context, input: { id: string }): Promise<ClientWithSessions> {
  const record = await ctx.store.clients.find(input.id)
  if (!record) throw notFound('client', input.id)
  return withSessions(ctx, record)
}

/** The client a cookie speaks for. @throws ApiError authentication_invalid */
export async function verifyClient(ctx: Context, input: { token: string }): Promise<ClientWithSessions> {
  const client = await readClient(ctx, input.token)
  if (!client) throw new ApiError('authentication_invalid')
  return withSessions(ctx, client.record)
}

export interface ClientWithSessions {
  record: ClientRecord
  sessions: SessionRecord[]
}

/** With the sessions that can still be used; `last_active_session_id` is one of them or null. */
export async function withSessions(ctx: Context, record: ClientRecord): Promise<ClientWithSessions> {
  const now = ctx.clock.now()
  const all = await ctx.store.sessions.listOfClient(record.id)
  const sessions = all
    .map(session => ctx.activity.current(session))
    .filter(session => session.status === 'active' && session.expire_at > now && session.abandon_at > now)
  const selected = sessions.find(session => session.id === record.last_active_session_id) ?? sessions[0]
  return { record: { ...record, last_active_session_id: selected?.id ?? null }, sessions }
}

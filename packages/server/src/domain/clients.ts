import { hash, timingSafeEqual } from 'node:crypto'
import { ApiError, notFound } from '../contract/errors.ts'
import type { ClientClaims, Context } from './context.ts'
import type { AuditRecord, ClientRecord, SessionRecord } from './records.ts'

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
  await forgetPreviousToken(ctx, record)
  return { record, token: cookie }
}

/**
 * Once a browser has used its current token, the token that its last sign-in replaced is worth nothing: the answer of
 * that sign-in has arrived, so nothing has to be repeated.
 */
export async function forgetPreviousToken(
  ctx: Context,
  client: Pick<ClientRecord, 'id' | 'rotating_token_hash' | 'previous_token_hash'>,
): Promise<void> {
  if (client.previous_token_hash !== null)
    await ctx.store.clients.forgetPreviousToken(client.id, client.rotating_token_hash)
}

/** What the cookie says, if this server signed it. Says nothing of whether it is still good: see `sameToken`. */
export function readClientClaims(ctx: Context, cookie: string) {
  const claims = ctx.signing.readClientToken(cookie)
  return claims?.iid === ctx.settings.instance_id ? claims : undefined
}

export function sameToken(rotatingTokenHash: string, rotatingToken: string): boolean {
  return timingSafeEqual(Buffer.from(rotatingTokenHash), Buffer.from(hash('sha256', rotatingToken)))
}

/** The client tokens that a browser presented. */
export interface PresentedClient {
  /** Every token that this server signed, also those of no stored client. */
  presented?: readonly ClientClaims[]
  /** The stored client whose current token is among them. */
  client?: ClientToken | undefined
}

/** A name for a browser that has none yet. Nothing is stored: it only tells the browser from others when it signs in. */
export function anonymousClientToken(ctx: Context): string {
  return newToken(ctx, ctx.random.id('client', ctx.clock.now())).token
}

/** A new client, or the one given with a new token: a cookie that someone planted or kept is worth nothing after a sign-in. */
export function renewedClient(ctx: Context, { client, presented = [] }: PresentedClient, now: number): ClientToken {
  const claims = presented.find(each => client && isCurrent(client.record, each)) ?? presented[0]
  const id = client?.record.id ?? ctx.random.id('client', now)
  const { token, rotating_token_hash } = newToken(ctx, id)
  const record: ClientRecord = {
    id,
    rotating_token_hash,
    previous_token_hash: claims ? hash('sha256', claims.rotating_token) : null,
    last_active_session_id: client?.record.last_active_session_id ?? null,
    created_at: client?.record.created_at ?? now,
    updated_at: now,
  }
  return { record, token }
}

/** Whether these are the claims of the client's current token. */
export function isCurrent(
  { id, rotating_token_hash }: Pick<ClientRecord, 'id' | 'rotating_token_hash'>,
  claims: ClientClaims,
): boolean {
  return claims.id === id && sameToken(rotating_token_hash, claims.rotating_token)
}

/** Whether a browser shows the client's token, or what its last sign-in replaced: it may never have got the answer. */
export function isShownBy(record: ClientRecord, { rotating_token }: ClientClaims): boolean {
  const { previous_token_hash: previous } = record
  return (
    sameToken(record.rotating_token_hash, rotating_token) || (previous !== null && sameToken(previous, rotating_token))
  )
}

/**
 * The token of a client for a browser of which `isShownBy` is true, a new one if it never got the last. Only for
 * whoever has proved more than that: the ticket of the sign-in.
 */
export async function reclaimedClient(
  ctx: Context,
  { record, claims }: { record: ClientRecord; claims: ClientClaims },
  event: AuditRecord,
): Promise<ClientToken | undefined> {
  if (sameToken(record.rotating_token_hash, claims.rotating_token))
    return { record, token: ctx.signing.clientToken({ ...claims, id: record.id }) }
  const { token, rotating_token_hash } = newToken(ctx, record.id)
  const renewed = await ctx.store.clients.renew(
    record.id,
    rotating_token_hash,
    hash('sha256', claims.rotating_token),
    event,
  )
  return renewed ? { record: { ...record, rotating_token_hash }, token } : undefined
}

function newToken(ctx: Context, id: string): { token: string; rotating_token_hash: string } {
  const rotating_token = ctx.random.bytes(16).toString('base64url')
  return {
    token: ctx.signing.clientToken({ id, iid: ctx.settings.instance_id, rotating_token }),
    rotating_token_hash: hash('sha256', rotating_token),
  }
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

/**
 * With the sessions that can still be used; `last_active_session_id` is one of them or null. When the selected one is
 * over, however it ended, the one that was parked for it is selected again: whoever acted is back in their own.
 */
export async function withSessions(ctx: Context, record: ClientRecord): Promise<ClientWithSessions> {
  const now = ctx.clock.now()
  const all = await ctx.store.sessions.listOfClient(record.id)
  const sessions = all
    .map(session => ctx.activity.current(session))
    .filter(session => session.status === 'active' && session.expire_at > now && session.abandon_at > now)
  let selected = all.find(session => session.id === record.last_active_session_id)
  while (selected && !sessions.some(session => session.id === selected?.id)) {
    const parked = selected.parked_session_id
    selected = all.find(session => session.id === parked)
  }
  return { record: { ...record, last_active_session_id: (selected ?? sessions[0])?.id ?? null }, sessions }
}

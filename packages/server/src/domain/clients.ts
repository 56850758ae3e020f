import { hash, timingSafeEqual } from 'node:crypto'
import { ApiError, notFound } from '../contract/errors.ts'
import type { ClientClaims, Context } from './context.ts'
import type { AuditRecord, ClientRecord, SessionRecord } from './records.ts'

/** A client and the value of its cookie. */
export interface ClientToken {
  record: ClientRecord
  token: string
}

/**
 * Returns the first client whose current token is among those that a browser presented; undefined if later sign-ins
 * replaced all of them.
 */
export async function findCurrentClient(
  ctx: Context,
  presented: readonly ClientClaims[],
): Promise<ClientRecord | undefined> {
  for (const claims of presented) {
    const record = await ctx.store.clients.find(claims.id)
    if (record && isCurrent(record, claims)) return record
  }
  return undefined
}

/** As `findCurrentClient`, for a browser that uses its client: the token that its last sign-in replaced is not needed any more. */
export async function currentClient(
  ctx: Context,
  presented: readonly ClientClaims[],
): Promise<ClientRecord | undefined> {
  const client = await findCurrentClient(ctx, presented)
  if (client) await forgetPreviousToken(ctx, client)
  return client
}

/**
 * Invalidates the token that the last sign-in replaced. Called when the browser has used its current token: the
 * response of that sign-in has arrived, so the browser does not have to repeat it.
 */
export async function forgetPreviousToken(
  ctx: Context,
  client: Pick<ClientRecord, 'id' | 'rotating_token_hash' | 'previous_token_hash'>,
): Promise<void> {
  if (client.previous_token_hash !== null)
    await ctx.store.clients.forgetPreviousToken(client.id, client.rotating_token_hash)
}

/**
 * Returns the claims of a cookie that this instance signed. It may have been replaced since: check with `sameToken`.
 */
export function readClientClaims(ctx: Context, cookie: string) {
  const claims = ctx.signing.readClientToken(cookie)
  return claims?.iid === ctx.settings.instance_id ? claims : undefined
}

export function sameToken(rotatingTokenHash: string, rotatingToken: string): boolean {
  return timingSafeEqual(Buffer.from(rotatingTokenHash), Buffer.from(hash('sha256', rotatingToken)))
}

/** The client tokens that a browser presented. */
export interface PresentedClient {
  /** Every token that this server signed, even if its client is not stored. */
  presented?: readonly ClientClaims[]
  /** The stored client whose current token is among them. */
  client?: ClientRecord | undefined
}

/**
 * Returns a client token for a browser that has none yet. Nothing is stored: the token only identifies the browser when
 * it signs in.
 */
export function anonymousClientToken(ctx: Context): string {
  return newToken(ctx, ctx.random.id('client', ctx.clock.now())).token
}

/**
 * Returns a new client, or the given client with a new token. So a cookie that an attacker planted or kept is useless
 * after a sign-in.
 */
export function renewedClient(ctx: Context, { client, presented = [] }: PresentedClient, now: number): ClientToken {
  const claims = presented.find(each => client && isCurrent(client, each)) ?? presented[0]
  const id = client?.id ?? ctx.random.id('client', now)
  const { token, rotating_token_hash } = newToken(ctx, id)
  const record: ClientRecord = {
    id,
    rotating_token_hash,
    previous_token_hash: claims ? hash('sha256', claims.rotating_token) : null,
    last_active_session_id: client?.last_active_session_id ?? null,
    created_at: client?.created_at ?? now,
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

/**
 * Whether a browser presents the client's current token, or the one that its last sign-in replaced: the response of
 * that sign-in may have been lost.
 */
export function isPresentedIn(record: ClientRecord, { rotating_token }: ClientClaims): boolean {
  const { previous_token_hash: previous } = record
  return (
    sameToken(record.rotating_token_hash, rotating_token) || (previous !== null && sameToken(previous, rotating_token))
  )
}

/**
 * Returns the client token for a browser for which `isPresentedIn` is true; a new one if the browser never received the
 * last. Call it only if the browser has also proved that it has the ticket of that sign-in.
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

/** Returns a client with its usable sessions. @throws ApiError resource_not_found */
export async function getClient(ctx: Context, input: { id: string }): Promise<ClientWithSessions> {
  const record = await ctx.store.clients.find(input.id)
  if (!record) throw notFound('client', input.id)
  return withSessions(ctx, record)
}

/** Returns the client of a cookie. @throws ApiError authentication_invalid */
export async function verifyClient(ctx: Context, input: { token: string }): Promise<ClientWithSessions> {
  const claims = readClientClaims(ctx, input.token)
  const client = claims && (await currentClient(ctx, [claims]))
  if (!client) throw new ApiError('authentication_invalid')
  return withSessions(ctx, client)
}

export interface ClientWithSessions {
  record: ClientRecord
  sessions: SessionRecord[]
}

/**
 * Returns a client with its usable sessions; `last_active_session_id` is one of them or null. When the selected session
 * has ended, in any way, the session that was parked for it is selected again: after acting, users are back in their
 * own session.
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

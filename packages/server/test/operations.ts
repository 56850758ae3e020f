import { randomBytes } from 'node:crypto'
import { operatorOf } from '../../../test/support/operators.ts'
import type { TestServer } from '../../../test/support/server.ts'
import type { Operation } from '../src/contract/operation.ts'

/** Requests for each operation of the contract. */

export const UNKNOWN = '000000000000000000000000000'
const BODY = { user_id: `user_${UNKNOWN}`, actor: { sub: 'a' }, ticket: 'x', token: 'x' }

const PERMIT_ALL = '@id("all") permit (principal, action in Action::"act", resource);'

/** The path of the operation, with an id that does not exist. */
export const unknownPath = (operation: Operation) =>
  operation.path
    .replace(/\{(sub|name)\}/, 'nobody')
    .replace('{tile_path}', '0/999')
    .replace(/\{(\w+)_id\}/g, (_, noun) => `${prefixes[noun]}_${UNKNOWN}`)
const prefixes: Record<string, string> = {
  actor_token: 'act',
  sign_in_token: 'sit',
  user: 'user',
  session: 'sess',
  client: 'client',
  template: 'jtmp',
  secret_key: 'key',
  audit_event: 'evt',
  signing_key: 'kid',
  operator: 'opr',
  operator_session: 'ops',
}
export const bodyOf = (operation: Operation) => (operation.body === undefined ? undefined : BODY)

/** A request that makes the operation succeed. */
export async function succeeding(server: TestServer, operation: Operation) {
  const { session_id, client_id, cookie, user_id } = await server.signIn()
  const actor = await server.createActorToken({ user_id })
  const signIn = (await server.call('POST', '/v1/sign_in_tokens', { user_id })).body
  const template = (
    await server.call('POST', '/v1/jwt_templates', { name: `one_${randomBytes(4).toString('hex')}`, claims: {} })
  ).body
  const key = (await server.call('POST', '/v1/secret_keys', { name: 'of an operation' })).body
  await server.call('PUT', '/v1/actors/registered', { kind: 'operator' })
  for (const groups of ['teams', 'tags']) await server.call('PUT', `/v1/${groups}/stored`, { parents: ['other'] })
  const operator = (await server.call('POST', '/v1/operators', { email: `${user_id}@example.com`, role: 'viewer' }))
    .body
  // The first checkpoint.
  await server.stagedoor.services.auditLog.tick()
  const ids: Record<string, string> = {
    sub: 'registered',
    tile_path: '0/000.p/1',
    name: 'stored',
    template_id: template.id,
    template_name: template.name,
    actor_token_id: actor.id,
    sign_in_token_id: signIn.id,
    user_id,
    session_id,
    client_id,
    secret_key_id: key.id,
    signing_key_id: (await server.call('GET', '/v1/signing_keys')).body.data.at(-1).id,
    // The first one: the checkpoint covers it.
    audit_event_id: (await server.stagedoor.services.store.auditLog.entries(0, 1))[0]?.id ?? '',
    operator_id: operator.id,
    operator_session_id: (await operatorOf(server, 'viewer')).session_id,
  }
  const path = operation.path.replace(/\{(\w+)\}/g, (_, id) => ids[id] ?? '')
  const bodies: Record<string, object> = {
    CreateActorToken: { user_id, actor: { sub: 'a' } },
    AcceptActorToken: { ticket: actor.token },
    CreateSignInToken: { user_id },
    createSession: { user_id },
    VerifyClient: { token: cookie.replace('__client=', '') },
    CreateUser: {},
    RevokeAllSessions: { user_id },
    CreateJWTTemplate: { name: 'another', claims: {} },
    UpdateJWTTemplate: { lifetime: 90 },
    PutPolicy: { text: PERMIT_ALL, off: ['base.reason'] },
    RollbackPolicy: { version: 0 },
    CheckPolicy: { text: PERMIT_ALL },
    WhatIfPolicy: { text: '@id("all") permit (principal, action in Action::"act", resource);' },
    ExplainPolicy: { user_id, actor: { sub: 'a' } },
    PutActor: { kind: 'operator' },
    PutTeam: { parents: ['another'] },
    PutTag: { parents: ['another'] },
    CreateSecretKey: { name: 'another' },
    RotateSigningKeys: { at_once: true },
    RemoveSigningKey: { emergency: true },
    InviteOperator: { email: 'another@example.com', role: 'viewer' },
    UpdateUser: { first_name: 'x' },
    UpdateUserMetadata: { public_metadata: { x: 1 } },
  }
  const method = operation.method.toUpperCase()
  if (operation.id === 'GetHandshakePayload')
    return { method, path: `${path}?nonce=${await handshakeNonce(server, cookie)}`, body: undefined, headers: {} }
  if (operation.id === 'GetAuditConsistency')
    return { method, path: `${path}?from_size=0&to_size=1`, body: undefined, headers: {} }
  if (operation.id === 'Search') return { method, path: `${path}?query=x`, body: undefined, headers: {} }
  if (operation.auth === 'secret_key') return { method, path, body: bodies[operation.id], headers: {} }
  const none = { authorization: undefined }
  if (operation.id === 'acceptTicket')
    return { method, path: `${path}?ticket=${actor.token}`, body: undefined, headers: { ...none, cookie } }
  if (operation.id === 'handshakeClient')
    return {
      method,
      path: `${path}?redirect_url=http://127.0.0.1:4101/`,
      body: undefined,
      headers: { ...none, cookie },
    }
  if (operation.auth === 'none' || operation.method === 'get')
    return { method, path, body: undefined, headers: { ...none, cookie } }
  const forms: Record<string, string> = {
    createSignIn: `strategy=ticket&ticket=${actor.token}`,
    confirmTicket: `ticket=${actor.token}`,
  }
  const body = forms[operation.id] ?? ''
  return { method, path, body, headers: { ...none, cookie, 'content-type': 'application/x-www-form-urlencoded' } }
}

/** The URL that a handshake redirects the browser to. */
async function handshakeNonce(server: TestServer, cookie: string): Promise<string> {
  const path = '/v1/client/handshake?format=nonce&__clerk_db_jwt=x&redirect_url=http://127.0.0.1:4101/'
  const answer = await server.call('GET', path, undefined, { authorization: undefined, cookie })
  return new URL(answer.headers.get('location') ?? '').searchParams.get('__clerk_handshake_nonce') ?? ''
}

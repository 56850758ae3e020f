import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Hono } from 'hono'
import { pino } from 'pino'
import { z } from 'zod'
import { testServer } from '../../../test/support/server.ts'
import { bapi } from '../src/contract/bapi.ts'
import { ApiError } from '../src/contract/errors.ts'
import { fapi } from '../src/contract/fapi.ts'
import { operation, RIGHTS, ROLES } from '../src/contract/operation.ts'
import { mayCall } from '../src/domain/secret-keys.ts'
import { trustedProxies } from '../src/http/caller.ts'
import { ListQueue } from '../src/http/edge/list-queue.ts'
import { RateLimits } from '../src/http/edge/rate-limits.ts'
import { type Http, mount } from '../src/http/mount.ts'
import { logged } from '../src/http/request-log.ts'

/**
 * The operations of each role, written by hand to check the contract: an operation that is added there fails this test until
 * this table says which operators may call it.
 */
const MAY_DO: Record<string, string[]> = {
  'viewer support approver admin': [
    ...['GetActorTokenList', 'GetActorToken', 'GetUserList', 'GetUsersCount', 'GetUser', 'ListActors', 'GetActor'],
    ...['ListTeams', 'GetTeam', 'ListTags', 'GetTag', 'GetPolicy', 'ListPolicyVersions', 'ListActing', 'FollowActing'],
    ...['GetSessionList', 'GetSession', 'Search', 'GetJWKS', 'GetAuditEventList', 'ExportAuditEvents', 'GetAuditEvent'],
    ...[
      'GetAuditCheckpoint',
      'GetAuditCheckpoints',
      'GetAuditConsistency',
      'GetAuditEventProof',
      'GetAuditKeys',
      'GetAuditTile',
    ],
    ...['GetRefusedRequestsList', 'GetStats', 'ListOperatorSessions', 'EndOperatorSession'],
  ],
  'support approver admin': ['CreateActorToken', 'RevokeActorToken', 'ExplainPolicy', 'RevokeSession'],
  'approver admin': ['RevokeSignInToken', 'RevokeAllSessions'],
  admin: [
    ...[
      'CreateUser',
      'UpdateUser',
      'UpdateUserMetadata',
      'DeleteUser',
      'BanUser',
      'UnbanUser',
      'LockUser',
      'UnlockUser',
    ],
    ...['PutActor', 'DeleteActor', 'PutTeam', 'DeleteTeam', 'PutTag', 'DeleteTag'],
    ...['PutPolicy', 'RollbackPolicy', 'CheckPolicy', 'WhatIfPolicy', 'GetSignInTokenList'],
    ...['ListJWTTemplates', 'CreateJWTTemplate', 'GetJWTTemplate', 'UpdateJWTTemplate', 'DeleteJWTTemplate'],
    ...[
      'GetSecretKeyList',
      'CreateSecretKey',
      'RevokeSecretKey',
      'ListSigningKeys',
      'RotateSigningKeys',
      'RemoveSigningKey',
      'GetInstance',
    ],
    ...['ListOperators', 'GetOperator', 'InviteOperator', 'DisableOperator', 'EnableOperator'],
  ],
  // With these, an operator could act as a user without being named as the actor, or get session tokens.
  '': [
    ...[
      'AcceptActorToken',
      'CreateSignInToken',
      'createSession',
      'CreateSessionToken',
      'CreateSessionTokenFromTemplate',
    ],
    ...['GetHandshakePayload', 'GetClient', 'VerifyClient', 'FollowRevocations'],
  ],
}

describe('rights and roles of the contract', () => {
  it('every operation for secret keys states them, and no other operation does', () => {
    const wrong = [...bapi, ...fapi].filter(
      ({ auth, rights, roles }) => (auth === 'secret_key') !== (rights !== undefined && roles !== undefined),
    )
    deepEqual(
      wrong.map(({ id }) => id),
      [],
    )
    for (const { id, rights = [], roles = [] } of bapi) {
      ok(
        rights.every(right => RIGHTS.includes(right) && right !== 'everything'),
        id,
      )
      ok(
        roles.every(role => ROLES.includes(role)),
        id,
      )
    }
  })

  it('a right allows exactly the operations that name it; no right allows nothing', () => {
    for (const each of bapi) {
      equal(mayCall(each, ['everything']), true, each.id)
      equal(mayCall(each, []), false, each.id)
      for (const right of RIGHTS)
        if (right !== 'everything') equal(mayCall(each, [right]), each.rights?.includes(right), `${each.id} ${right}`)
    }
    // An operation that names no right is only for keys with every right.
    equal(mayCall({}, ['act', 'audit', 'policy', 'users']), false)
  })

  it('the audit right reads, and changes nothing', () => {
    const changes = bapi.filter(({ action, rights }) => action !== undefined && rights?.includes('audit'))
    deepEqual(
      changes.map(({ id }) => id),
      [],
    )
  })

  it('gives each role the operations of this table, and no others', () => {
    const roles = Object.fromEntries(bapi.map(({ id, roles = [] }) => [id, roles.join(' ')]))
    deepEqual(roles, Object.fromEntries(Object.entries(MAY_DO).flatMap(([who, ids]) => ids.map(id => [id, who]))))
  })

  it('a role may do everything that a lesser one may', () => {
    for (const { id, roles = [] } of bapi) deepEqual(roles, roles.length === 0 ? [] : ROLES.slice(-roles.length), id)
  })

  it('a viewer changes nothing, except that they end their own sessions of the console', () => {
    const changes = bapi.filter(
      ({ action, method, roles }) => roles?.includes('viewer') && (action || method !== 'get'),
    )
    deepEqual(
      changes.map(({ id }) => id),
      ['EndOperatorSession'],
    )
  })

  it('no operator can start a session without an actor, or take a session token', () => {
    const open = [
      'CreateSignInToken',
      'createSession',
      'CreateSessionToken',
      'CreateSessionTokenFromTemplate',
      'AcceptActorToken',
      'GetHandshakePayload',
      'GetClient',
      'VerifyClient',
    ]
    for (const id of open) deepEqual(bapi.find(each => each.id === id)?.roles, [], id)
  })
})

describe('mounting', () => {
  const description = { method: 'post', tag: 'Test', summary: 'Test', auth: 'none', response: z.null() } as const

  async function mounted(errorFormat: 'clerk' | 'oauth', error: Error): Promise<{ status: number; body: object }> {
    await using server = await testServer()
    const app = new Hono() as unknown as Http['app']
    const log = pino({ level: 'silent' })
    const { services } = server.stagedoor
    const options: Http['options'] = {
      allowedOrigins: new Set(),
      trustedProxies: trustedProxies([]),
      limits: new RateLimits({}, log),
      lists: new ListQueue(1),
      checkResponses: true,
      packagesDirectory: '.',
      pages: { languages: ['en'], brand: { name: 'Stagedoor', logo: undefined } },
    }
    mount({ app, services, options, log }, operation({ ...description, id: 'test', path: '/test', errorFormat }), () =>
      Promise.reject(error),
    )
    const answer = await logged(app, services, { log, metrics: undefined, tracing: undefined }).fetch(
      new Request('http://localhost/test', { method: 'POST' }),
    )
    return { status: answer.status, body: (await answer.json()) as object }
  }

  it('answers errors in the format that the operation names', async () => {
    const clerk = await mounted('clerk', new ApiError('user_banned'))
    deepEqual(Object.keys(clerk.body), ['errors', 'clerk_trace_id'])
    const oauth = await mounted('oauth', new ApiError('clerk_key_invalid'))
    equal(oauth.status, 401)
    const { error, error_description, ...more } = oauth.body as Record<string, string>
    deepEqual([error, more], ['invalid_client', {}])
    ok(error_description?.endsWith('(clerk_key_invalid)'))
    const bug = await mounted('oauth', new Error('postgres://user:secret@host'))
    deepEqual([bug.status, (bug.body as { error: string }).error], [500, 'server_error'])
    ok(!JSON.stringify(bug.body).includes('secret'))
  })

  it('refuses an idempotent operation without a creator, and a creator for any other', async () => {
    await using server = await testServer()
    const http = { app: new Hono(), services: server.stagedoor.services, options: {} } as unknown as Http
    const creator = { create: async () => 1, find: async () => 1, present: () => null }
    const plain = operation({ ...description, id: 'plain', path: '/plain' })
    const idempotent = operation({ ...description, id: 'idempotent', path: '/idempotent', idempotent: true })
    throws(() => mount(http, plain, creator), /plain/)
    throws(() => mount(http, idempotent, async () => null), /idempotent/)
  })
})

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { Stagedoor } from '@stagedoor/sdk'

/** Exports of every middleware. */
const GUARDS = [
  'forbidActing',
  'forbidActingOn',
  'neverWhileActing',
  'readOnlyWhileActing',
  'requireActing',
  'requireScope',
  'requireUser',
]

/** The exports that the package guarantees. A name is removed only in a major version. */
const exported: Record<string, string[]> = {
  '@stagedoor/sdk': ['Stagedoor', 'StagedoorError'],
  '@stagedoor/sdk/banner': ['StagedoorBanner', 'followClerk'],
  '@stagedoor/sdk/express': [...GUARDS, 'authenticate', 'getAuth'].sort(),
  '@stagedoor/sdk/fastify': [...GUARDS, 'authenticate', 'getAuth'].sort(),
  '@stagedoor/sdk/hono': [...GUARDS, 'authenticate', 'getAuth'].sort(),
  '@stagedoor/sdk/models/components': [],
  '@stagedoor/sdk/models/operations': [],
  '@stagedoor/sdk/next': ['RefusedError', 'authenticate'],
  '@stagedoor/sdk/react': ['ActingBanner'],
  '@stagedoor/sdk/record-as': ['recordAs'],
  '@stagedoor/sdk/request': [...GUARDS, 'RefusedError', 'createAuthenticator'].sort(),
  '@stagedoor/sdk/testing': ['createTestIssuer', 'signInAs', 'startStagedoor'],
  '@stagedoor/sdk/verify': [
    'AuditProofError',
    'TokenError',
    'createVerifier',
    'followRevocations',
    'remoteJwks',
    'verifyCheckpoint',
    'verifyConsistency',
    'verifyInclusion',
    'verifySessionToken',
  ],
}

const methods: Record<string, string[]> = {
  actorTokens: ['accept', 'create', 'get', 'list', 'revoke'],
  auditEvents: ['list'],
  clients: ['get', 'getHandshakePayload', 'verify'],
  jwks: ['get'],
  jwtTemplates: ['create', 'delete', 'get', 'list', 'update'],
  refusedRequests: ['list'],
  revocations: ['follow'],
  secretKeys: ['create', 'list', 'revoke'],
  sessions: ['create', 'get', 'getToken', 'isActive', 'list', 'revoke', 'revokeAll', 'touch'],
  signInTokens: ['create', 'list', 'revoke'],
  users: [
    'ban',
    'count',
    'create',
    'delete',
    'findOrCreate',
    'get',
    'list',
    'lock',
    'unban',
    'unlock',
    'update',
    'updateMetadata',
  ],
}

const types: Record<string, string[]> = {
  'models/components.ts': [
    'AcceptedActorToken',
    'ActingSession',
    'Actor',
    'ActorToken',
    'AuditEvent',
    'Claims',
    'Client',
    'CreatedActorToken',
    'CreatedSignInToken',
    'DeletedObject',
    'EmailAddress',
    'ErrorCode',
    'HandshakePayload',
    'JsonWebKey',
    'JsonWebKeySet',
    'JwtTemplate',
    'List',
    'Metadata',
    'Milliseconds',
    'Page',
    'PhoneNumber',
    'RefusedRequests',
    'Revocation',
    'RevocationEvent',
    'SecretKey',
    'Session',
    'SessionToken',
    'SignInToken',
    'User',
  ],
  'models/operations.ts': [
    'AcceptActorTokenRequestBody',
    'Actor',
    'Claims',
    'CreateActorTokenRequestBody',
    'CreateJwtTemplateRequestBody',
    'CreateSecretKeyRequestBody',
    'CreateSessionRequestBody',
    'CreateSessionTokenRequestBody',
    'CreateSignInTokenRequestBody',
    'CreateUserRequestBody',
    'FollowRevocationsQuery',
    'GetActorTokenListQuery',

    'GetAuditEventListQuery',
    'GetRefusedRequestsListQuery',
    'GetSecretKeyListQuery',
    'GetSessionListQuery',
    'GetSignInTokenListQuery',
    'GetUserListQuery',
    'GetUsersCountQuery',
    'ListJwtTemplatesQuery',
    'Metadata',
    'RevokeAllSessionsRequestBody',
    'RevokeRequestBody',
    'UpdateJwtTemplateRequestBody',
    'UpdateUserMetadataRequestBody',
    'UpdateUserRequestBody',
    'VerifyClientRequestBody',
  ],
}

describe('the public names', () => {
  for (const [specifier, names] of Object.entries(exported)) {
    it(`of ${specifier} are complete`, async () => {
      assert.deepEqual(Object.keys(await import(specifier)).sort(), names)
    })
  }

  it('of the package cover all its entry points', () => {
    const { exports } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
    assert.deepEqual(
      Object.keys(exports)
        .map(path => path.replace('.', '@stagedoor/sdk'))
        .sort(),
      Object.keys(exported),
    )
  })

  // The rest is generated from the contract: names may be added, but those that apps use must stay.
  it('of the client are all there', () => {
    const client = new Stagedoor({ secretKey: 'sk_test_1' })
    const found = new Map(
      Object.entries(client).map(([name, resource]) => [
        name,
        Object.getOwnPropertyNames(Object.getPrototypeOf(resource)),
      ]),
    )
    const missing = Object.entries(methods).flatMap(([resource, names]) =>
      names.filter(name => !found.get(resource)?.includes(name)).map(name => `${resource}.${name}`),
    )
    assert.deepEqual(missing, [])
  })

  for (const [file, names] of Object.entries(types)) {
    it(`of the types in ${file} are all there`, () => {
      const source = readFileSync(new URL(`../src/${file}`, import.meta.url), 'utf8')
      const own = [...source.matchAll(/^export (?:interface|type) (\w+)/gm)].map(match => match[1] as string)
      const passedOn = [...source.matchAll(/^export type \{([^}]+)\}/gm)].flatMap(match =>
        (match[1] as string).split(',').map(name => name.trim()),
      )
      const found = new Set([...own, ...passedOn])
      assert.deepEqual(
        names.filter(name => !found.has(name)),
        [],
      )
    })
  }
})

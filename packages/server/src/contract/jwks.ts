import { z } from 'zod'
import { operation } from './operation.ts'

const Jwk = z
  .looseObject({ kty: z.string(), kid: z.string(), use: z.literal('sig'), alg: z.enum(['RS256', 'ES256', 'EdDSA']) })
  .meta({ id: 'JsonWebKey', description: 'A public key (RFC 7517).' })

export const JsonWebKeySet = z.strictObject({ keys: z.array(Jwk) }).meta({ id: 'JsonWebKeySet' })

export const getJwks = operation({
  id: 'GetJWKS',
  method: 'get',
  path: '/v1/jwks',
  tag: 'JWKS',
  summary: 'The public keys that verify session tokens',
  auth: 'secret_key',
  rights: ['act', 'audit', 'policy', 'users'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  neverShed: true,
  response: JsonWebKeySet,
})

export const getPublicJwks = operation({
  id: 'getJWKS',
  method: 'get',
  path: '/.well-known/jwks.json',
  tag: 'Well known',
  summary: 'The public keys that verify session tokens',
  auth: 'none',
  neverShed: true,
  response: JsonWebKeySet,
})

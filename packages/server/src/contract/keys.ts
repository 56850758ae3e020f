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
  urgent: true,
  response: JsonWebKeySet,
})

export const getPublicJwks = operation({
  id: 'getJWKS',
  method: 'get',
  path: '/.well-known/jwks.json',
  tag: 'Well known',
  summary: 'The public keys that verify session tokens',
  auth: 'none',
  urgent: true,
  response: JsonWebKeySet,
})

export const Health = z.strictObject({ status: z.literal('ok') }).meta({ id: 'Health' })

const health = (id: string, path: string, summary: string) =>
  operation({
    id,
    method: 'get',
    path,
    tag: 'Health',
    summary,
    auth: 'none',
    urgent: true,
    response: Health,
    stagedoorOnly: true,
  })

export const getHealth = health('GetHealth', '/health', 'The process is up')
export const getReadiness = health(
  'GetReadiness',
  '/ready',
  'The server can do its work: its store answers; 503 if not',
)

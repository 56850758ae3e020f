import { z } from 'zod'
import { operation } from './operation.ts'

export const Health = z.strictObject({ status: z.literal('ok') }).meta({ id: 'Health' })

export const getHealth = operation({
  id: 'GetHealth',
  method: 'get',
  path: '/healthz',
  tag: 'Health',
  summary: 'Liveness: the process is up; nothing else is checked',
  auth: 'none',
  neverShed: true,
  response: Health,
  stagedoorOnly: true,
})

export const getReadiness = operation({
  id: 'GetReadiness',
  method: 'get',
  path: '/readyz',
  tag: 'Health',
  summary:
    'Readiness: the database answers within 2 seconds, the signing key can be decrypted, and the server is not stopping',
  auth: 'none',
  neverShed: true,
  response: Health,
  errors: ['not_ready'],
  stagedoorOnly: true,
})

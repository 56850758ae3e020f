import { z } from 'zod'
import { Id, operation } from './operation.ts'

export const Instance = z
  .strictObject({
    object: z.literal('instance'),
    id: Id,
    version: z.string().describe('The version of the server.'),
    environment: z.enum(['development', 'production']),
    public_url: z.string().describe('The issuer of session tokens.'),
    settings: z
      .array(
        z
          .strictObject({
            name: z.string().describe('The environment variable: `STAGEDOOR_PORT`.'),
            value: z.string().nullable().describe('As it was set, without passwords; null if the setting is a secret.'),
            source: z
              .enum(['environment', 'dev'])
              .describe('The environment of the process, or `stagedoor dev`, which fills in what is missing.'),
          })
          .meta({ id: 'InstanceSetting' }),
      )
      .describe('The settings that are not at their defaults.'),
    findings: z
      .array(
        z
          .strictObject({
            check: z.string().describe('What was checked: `keys`, `policy`, …'),
            result: z.enum(['ok', 'warn', 'fail']).describe('`warn` works, but an operator should know.'),
            detail: z.string().describe('What was found, and what to do about it.'),
          })
          .meta({ id: 'InstanceFinding' }),
      )
      .describe('The checks of `stagedoor doctor`, except that of the whole database.'),
  })
  .meta({ id: 'Instance' })

export const getInstance = operation({
  id: 'GetInstance',
  method: 'get',
  path: '/v1/instance',
  tag: 'Instance',
  summary: 'Read the version of the server, the settings that are not at their defaults, and what to fix',
  auth: 'secret_key',
  rights: [],
  roles: ['admin'],
  response: Instance,
  stagedoorOnly: true,
})

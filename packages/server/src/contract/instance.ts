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
  })
  .meta({ id: 'Instance' })

export const getInstance = operation({
  id: 'GetInstance',
  method: 'get',
  path: '/v1/instance',
  tag: 'Instance',
  summary: 'Read the version of the server, and the settings that are not at their defaults',
  auth: 'secret_key',
  rights: [],
  roles: ['admin'],
  response: Instance,
  stagedoorOnly: true,
})

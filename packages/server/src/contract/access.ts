import { z } from 'zod'

/** What an actor may do as the user: docs/concepts/access.md explains the model. */

export const Access = z.enum(['read', 'write'])

/** The list of a request. An empty list is refused: it means neither everything nor nothing. */
export const Scopes = z
  .array(
    z.string().regex(/^(?!act:)[a-z][a-z0-9:._-]{0,63}$/, {
      error:
        '1 to 64 lower-case letters, digits and `:` `.` `_` `-`, beginning with a letter, and not with `act:`, which is reserved',
    }),
  )
  .min(1)
  .max(20)
  .refine(scopes => new Set(scopes).size === scopes.length, {
    params: { code: 'value' },
    error: 'a list without duplicates',
  })
  .meta({ uniqueItems: true })

export const ShownScopes = z
  .array(z.string())
  .nullable()
  .describe('All that the session may do, sorted; null if it is unrestricted. Stagedoor only.')

export const Understands = z
  .array(z.enum(['scope']))
  .max(8)
  .optional()
  .describe(
    '`["scope"]` if your app applies the claim `scope`, and its own sessions keep the access and the scopes. Needed for limited sessions. Stagedoor only.',
  )

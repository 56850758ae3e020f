import { z } from 'zod'

/** The longest `sub` of an actor, in characters. */
export const MAX_SUB_LENGTH = 256

/**
 * The party that is really acting: any JSON object with a string `sub`. Stagedoor stores it unchanged and copies all of
 * it into the `act` claim of every session token (RFC 8693 §4.1). The size limit is a setting, so this schema does not
 * check it.
 */
export const Actor = z
  .custom<{ sub: string; [member: string]: unknown }>()
  .superRefine((value: unknown, context) => {
    const fail = (path: string[], code: 'missing' | 'type' | 'value', expected: string) =>
      context.addIssue({ code: 'custom', path, params: { code }, message: expected })
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return fail([], value === undefined ? 'missing' : 'type', 'object')
    }
    const sub: unknown = Object.hasOwn(value, 'sub') ? (value as { sub: unknown }).sub : undefined
    if (sub === undefined) return fail(['sub'], 'missing', 'string')
    if (typeof sub !== 'string') return fail(['sub'], 'type', 'string')
    if (sub.trim() === '' || sub.length > MAX_SUB_LENGTH) {
      fail(['sub'], 'value', `a string of 1 to ${MAX_SUB_LENGTH} characters that is not blank`)
    }
  })
  .meta({
    id: 'Actor',
    description:
      'The actor payload: who is really acting. It must have a `sub`. All other members are yours and are stored unchanged. The whole object becomes the `act` claim of the session tokens.',
    type: 'object',
    properties: { sub: { type: 'string', minLength: 1, maxLength: MAX_SUB_LENGTH } },
    required: ['sub'],
    additionalProperties: true,
    examples: [{ sub: 'user_2OEpKhcCN1Lat9NQ0G6puh7q5Rb' }],
  })

export type Actor = z.infer<typeof Actor>

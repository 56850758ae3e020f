import type { z } from 'zod'
import { ApiError, invalidParam } from '../contract/errors.ts'

/** Maximum number of errors per answer, so that an invalid request cannot make the answer much longer than the request. */
const MAX_ERRORS = 20

/** Converts the problems that a schema found to errors with Clerk's texts: one for each wrong field. */
export function validationErrors(issues: z.core.$ZodIssue[], input: unknown): [ApiError, ...ApiError[]] {
  const all = issues.slice(0, MAX_ERRORS).flatMap(issue => translate(issue, input))
  return all.slice(0, MAX_ERRORS) as [ApiError, ...ApiError[]]
}

function translate(issue: z.core.$ZodIssue, input: unknown): ApiError[] {
  const param = issue.path.join('.')
  const meta = { param_name: param }
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.slice(0, MAX_ERRORS).map(key => {
        const name = [...issue.path, key].join('.')
        return new ApiError('form_param_unknown', { params: { param: name }, meta: { param_name: name } })
      })
    case 'invalid_type':
      if (param === '') return [new ApiError('request_body_invalid', { action: 'Send a JSON object.' })]
      if (valueAt(input, issue.path) === undefined) return [missing(param)]
      if (issue.expected === 'int') return [invalidParam(param, `\`${param}\` must be a whole number.`)]
      // The contract has whole numbers only.
      return [
        new ApiError('form_param_type_invalid', {
          params: { param, type: issue.expected === 'number' ? 'integer' : issue.expected },
          meta,
        }),
      ]
    case 'custom': {
      const code = (issue.params as { code?: string } | undefined)?.code
      if (code === 'missing' || valueAt(input, issue.path) === undefined) return [missing(param)]
      if (code === 'value') return [invalidParam(param, `\`${param}\` must be ${issue.message}.`)]
      return [new ApiError('form_param_type_invalid', { params: { param, type: issue.message }, meta })]
    }
    case 'too_small':
      return [invalidParam(param, `\`${param}\` must ${size('at least', Number(issue.minimum), issue.origin)}.`)]
    case 'too_big':
      return [invalidParam(param, `\`${param}\` must ${size('at most', Number(issue.maximum), issue.origin)}.`)]
    case 'invalid_value':
      if (valueAt(input, issue.path) === undefined) return [missing(param)]
      return [
        invalidParam(param, `\`${param}\` must be ${issue.values.map(value => `\`${String(value)}\``).join(' or ')}.`),
      ]
    default:
      return [invalidParam(param, `\`${param}\` must be ${issue.message}.`)]
  }
}

function missing(param: string): ApiError {
  return new ApiError('form_param_missing', { params: { param }, meta: { param_name: param } })
}

function size(bound: 'at least' | 'at most', limit: number, origin: string): string {
  if (origin === 'array') return `have ${bound} ${limit} ${limit === 1 ? 'item' : 'items'}`
  return `be ${bound} ${limit}${origin === 'string' ? ` ${limit === 1 ? 'character' : 'characters'} long` : ''}`
}

function valueAt(input: unknown, path: PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (Object.hasOwn(Object(value), key) ? (value as never)[key] : undefined),
    input,
  )
}

import { isIP } from 'node:net'
import { z } from 'zod'

/** The forms of settings: how their texts are checked and read. */

/** Accepts digits only: `1e3`, `0x10` and ` 5` are errors. */
export const wholeNumber = (from: number, to: number) =>
  z
    .string()
    .refine(text => /^\d{1,9}$/.test(text) && Number(text) >= from && Number(text) <= to, {
      error: `must be a whole number from ${from} to ${to}`,
    })
    .transform(Number)

export const number = (from: number, to: number, fallback: number) => wholeNumber(from, to).default(fallback)

export const limit = z
  .string()
  .regex(/^(none|[1-9]\d{0,5}\/s burst [1-9]\d{0,6})$/, { error: 'must be `none`, or a limit like `100/s burst 1000`' })
  .optional()

export const commaList = z
  .string()
  .default('')
  .transform(text =>
    text
      .split(',')
      .map(item => item.trim())
      .filter(item => item !== ''),
  )

export const url = z.url({ protocol: /^https?$/, error: 'must be an http or https URL' })

/** The URL at which browsers reach this server. It may have a path, which a proxy strips. */
export const publicURL = url.transform((text, context) => {
  const address = new URL(text)
  const path = address.pathname.replace(/\/+$/, '')
  const given = `${address.origin}${path}`
  if (hasMore(address)) return refuse(context, `must have no user name, query or fragment. Use ${given}`)
  if (path.endsWith('/v1')) return refuse(context, `must not end with /v1. Use ${given.slice(0, -'/v1'.length)}`)
  if (!/^(\/[\w.~-]+)*$/.test(path))
    return refuse(context, 'may have a path only of letters, digits and . _ ~ - between single slashes')
  return given
})

export const signInURL = url.refine(text => !hasUserInfo(new URL(text)), {
  error: 'must have no user name or password, because browsers are redirected there with tickets',
})

/** An origin as browsers send it. Rejects values that can never match one, because they would silently allow nothing. */
export const originOfPages = z.string().transform((text, context) => {
  if (/^(chrome|moz)-extension:\/\/[a-z0-9-]+$/.test(text)) return text
  if (text.includes('*'))
    return refuse(context, `${text} has a wildcard, but wildcards match nothing. List each origin`)
  const address = /^https?:\/\//i.test(text) ? URL.parse(text) : null
  if (!address) return refuse(context, 'must be origins like https://app.example.com, or origins of browser extensions')
  if (hasMore(address) || address.pathname !== '/')
    return refuse(context, `an origin has no user name, path, query or fragment. Use ${address.origin}`)
  return address.origin
})

export const network = z.string().refine(
  entry => {
    const [address = '', prefix, ...more] = entry.split('/')
    const bits = isIP(address) === 6 ? 128 : 32
    const isNetwork = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits)
    return isIP(address) > 0 && isNetwork && more.length === 0
  },
  { error: 'must be IP addresses or networks, like 10.0.0.0/8' },
)

const hasUserInfo = ({ username, password }: URL) => username !== '' || password !== ''
/** Tests `href`, because `search` and `hash` do not show an empty query or fragment. */
export const hasMore = (address: URL) => hasUserInfo(address) || /[?#]/.test(address.href)

/** Reports a value that a form does not allow. */
export function refuse(context: { value: unknown; issues: z.core.$ZodRawIssue[] }, message: string) {
  context.issues.push({ code: 'custom', message, input: context.value })
  return z.NEVER
}

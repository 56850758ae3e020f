import type { Auth, SignedOut } from './auth.ts'
import type { Guard } from './guards.ts'
import { isPassing, refusal, refusedAsSignedOut } from './refusal.ts'

/** Names of actions, each with its paths. */
export type ActionPatterns = Readonly<Record<string, readonly string[]>>

/**
 * Actions that only users themselves should take, with common paths for them. Use it unchanged, or add the paths of your
 * app:
 * `forbidActingOn({ ...neverWhileActing, closeStore: ['POST /store/close'] })`.
 *
 * In a pattern, `*` matches exactly one segment of the path and `**` any number, including none. A pattern applies to all
 * methods, or only to those at its start: `POST|PUT /store`. A pattern with a leading `!` is an exception from the other
 * patterns of its action. Case, hyphens and underscores are ignored.
 */
export const neverWhileActing = {
  changePassword: ['**/password/**', '**/passwords/**', '**/change-password/**', '**/reset-password/**'],
  changeMfa: [
    '**/mfa/**',
    '**/2fa/**',
    '**/two-factor/**',
    '**/totp/**',
    '**/passkeys/**',
    '**/backup-codes/**',
    '**/recovery-codes/**',
  ],
  changeEmail: [
    'POST|PUT|PATCH|DELETE **/email/**',
    'POST|PUT|PATCH|DELETE **/emails/**',
    'POST|PUT|PATCH|DELETE **/email-addresses/**',
    '**/change-email/**',
  ],
  changePhone: [
    'POST|PUT|PATCH|DELETE **/phone/**',
    'POST|PUT|PATCH|DELETE **/phones/**',
    'POST|PUT|PATCH|DELETE **/phone-numbers/**',
  ],
  // Reading is forbidden too: a key that is seen can be copied.
  apiKeys: ['**/api-key/**', '**/api-keys/**', '**/access-tokens/**', '**/personal-access-tokens/**', '**/secrets/**'],
  payouts: ['**/payouts/**', '**/withdrawals/**', '**/bank-account/**', '**/bank-accounts/**'],
  paymentMethods: ['POST|PUT|PATCH|DELETE **/payment-methods/**', 'POST|PUT|PATCH|DELETE **/cards/**'],
  deleteAccount: [
    'DELETE **/account',
    'DELETE **/me',
    'DELETE **/user',
    'DELETE **/profile',
    'DELETE **/users/*',
    'DELETE **/accounts/*',
    '**/account/delete/**',
    '**/account/close/**',
    '**/delete-account/**',
    '**/close-account/**',
  ],
  // Reading is forbidden too: an export has all data.
  exportData: [
    '**/export/**',
    '**/exports/**',
    '**/export-data/**',
    '**/data-export/**',
    '**/data-exports/**',
    '**/download-data/**',
    '**/data-download/**',
    '**/takeout/**',
    '**/account/download/**',
  ],
  signOutEverywhere: [
    'DELETE **/sessions',
    '**/sessions/all/**',
    '**/sessions/others/**',
    '**/sessions/revoke-all/**',
    '**/revoke-all-sessions/**',
    '**/revoke-sessions/**',
    '**/sign-out-everywhere/**',
    '**/sign-out-all/**',
    '**/sign-out-others/**',
    '**/log-out-everywhere/**',
    '**/log-out-all/**',
    '**/log-out-others/**',
    '**/signout/all/**',
    '**/logout/all/**',
  ],
  // An app that gets access here would keep it after the actor has left.
  oauthGrants: [
    '**/oauth/**',
    '**/oauth2/**',
    '**/authorize/**',
    '**/consent/**',
    '**/oauth-grants/**',
    'POST|PUT|PATCH|DELETE **/grants/**',
    'POST|PUT|PATCH|DELETE **/authorizations/**',
    'POST|PUT|PATCH|DELETE **/oauth-applications/**',
    'POST|PUT|PATCH|DELETE **/authorized-apps/**',
    'POST|PUT|PATCH|DELETE **/connected-apps/**',
    'POST|PUT|PATCH|DELETE **/connected-accounts/**',
    'POST|PUT|PATCH|DELETE **/integrations/**',
  ],
  transferOwnership: [
    '**/transfer-ownership/**',
    '**/ownership-transfer/**',
    '**/ownership-transfers/**',
    '**/change-owner/**',
    'POST|PUT|PATCH|DELETE **/ownership/**',
    'POST|PUT|PATCH|DELETE **/owner/**',
    'POST|PUT|PATCH|DELETE **/owners/**',
    'POST|PUT|PATCH **/transfer',
  ],
  invitations: [
    'POST|PUT|PATCH|DELETE **/invitations/**',
    'POST|PUT|PATCH|DELETE **/invitation/**',
    'POST|PUT|PATCH|DELETE **/invites/**',
    '**/invite/**',
    '**/invite-user/**',
    '**/invite-users/**',
    '**/invite-member/**',
    '**/invite-members/**',
  ],
  // Reading is forbidden too: webhooks have secrets, and show where data is sent.
  webhooks: ['**/webhook/**', '**/webhooks/**', '**/webhook-endpoints/**'],
  impersonate: [
    '**/impersonate/**',
    '**/impersonation/**',
    '**/impersonations/**',
    '**/actor-tokens/**',
    '**/act-as/**',
    '**/login-as/**',
    '**/log-in-as/**',
    '**/sign-in-as/**',
    '**/switch-user/**',
    '**/masquerade/**',
    '**/hijack/**',
    // Leaving must stay allowed.
    '!DELETE **',
    '!**/stop',
    '!**/end',
    '!**/exit',
    '!**/leave',
    '!**/release',
  ],
} as const satisfies ActionPatterns

/**
 * Creates a guard that refuses matching paths for actors, and for tokens that cannot be verified now. Users themselves and
 * signed-out requests pass. It checks every way in which a path could be read, and refuses an unreadable path.
 * {@link forbidActing} at the handler is still the stronger protection, because it does not depend on paths.
 *
 * @throws TypeError if a pattern is invalid
 */
export function pathGuard(actions: ActionPatterns): Guard {
  const rules = Object.entries(actions).flatMap(([action, patterns]) => {
    const isException = (pattern: string) => pattern.startsWith('!')
    const exceptions = patterns.filter(isException).map(pattern => compiled(pattern.slice(1)))
    return patterns
      .filter(pattern => !isException(pattern))
      .map(pattern => ({ action, exceptions, ...compiled(pattern) }))
  })
  if (rules.length === 0) throw new TypeError('forbidActingOn has no patterns: try `neverWhileActing`.')

  return (auth, { methods: asked, urls }) => {
    if (!auth.isActing && !isUnknown(auth)) return
    const paths = urls.map(readings)
    const readable = paths.filter(each => each !== undefined).flat()
    const broken = paths.includes(undefined)
    // Check each method and each reading separately: an exception for one does not apply to another.
    const rule = rules.find(({ exceptions, ...pattern }) =>
      asked.some(method =>
        readable.some(path => matches(pattern, method, path) && !exceptions.some(each => matches(each, method, path))),
      ),
    )
    if (!rule && !broken) return
    if (isUnknown(auth)) return refusedAsSignedOut(auth.reason)
    return refusal('forbidden_while_acting', { rule: rule?.action ?? 'unreadable-path' })
  }
}

/**
 * Returns whether a pattern matches a method and every way in which each URL could be read: a path that a router may read as
 * another one does not match.
 * @throws TypeError if a pattern is invalid
 */
export function pathMatcher(patterns: readonly string[]): (method: string, urls: readonly string[]) => boolean {
  const known = patterns.map(compiled)
  return (method, urls) => {
    if (known.length === 0 || urls.length === 0) return false
    const paths = urls.map(readings)
    return paths.every(each => each?.every(path => known.some(pattern => matches(pattern, method, path))))
  }
}

/** Whether the request has a token that cannot be verified now, so it is unknown whether there is an actor. */
function isUnknown(auth: Auth): auth is SignedOut {
  return auth.userId === null && isPassing(auth.reason)
}

interface Pattern {
  /** Undefined means all methods. */
  methods: string[] | undefined
  path: RegExp
}

function matches({ methods, path }: Pattern, method: string, reading: string): boolean {
  return (methods === undefined || methods.includes(method)) && path.test(reading)
}

function compiled(pattern: string): Pattern {
  const [, methods, path = ''] = /^(?:([A-Z]+(?:\|[A-Z]+)*) )?([/*][^\s?#%\\]*)$/.exec(pattern) ?? []
  if (path === '') {
    throw new TypeError(
      `${JSON.stringify(pattern)} is not a pattern. Write '/account/email', 'DELETE /users/*' or '**/payouts/**'.`,
    )
  }
  const expression = path
    .split('/')
    .filter(Boolean)
    .map(segment => {
      if (segment === '**') return '(?:/[^/]+)*'
      if (segment === '*') return '/[^/]+'
      return `/${plain(segment).replace(/[.*+?^${}()|[\]]/g, letter => (letter === '*' ? '[^/]*' : `\\${letter}`))}`
    })
  // Routers handle HEAD with the handler of GET.
  const named = methods?.split('|').flatMap(method => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
  return { methods: named, path: new RegExp(`^${expression.join('')}$`) }
}

/** Maximum rounds of decoding: routers and proxies decode a path once, not at all, or several times. */
const MAX_DECODINGS = 3

/**
 * Returns every path that a router, or a proxy or handler, may read in this URL: decoded or not, ending at an encoded `?`
 * or not, with `..` resolved or not. Returns undefined if it cannot be decoded, or is still encoded after the maximum.
 */
function readings(url: string): string[] | undefined {
  const found = new Set<string>()
  // Remove the origin: the absolute form of a request (RFC 9112 §3.2.2), and the url of a Request, have one.
  let path = url.replace(/^[a-z][a-z\d+.-]*:\/\/[^/\\?#]*/i, '').replace(/[?#].*$/s, '')
  for (let decodings = 0; decodings <= MAX_DECODINGS; decodings++) {
    for (const part of [path, path.replace(/[?#].*$/s, '')]) {
      const segments = segmentsOf(part)
      for (const each of [segments, withoutDots(segments)]) found.add(each.map(segment => `/${segment}`).join(''))
    }
    const decoded = decode(path)
    if (decoded === path) return [...found]
    if (decoded === undefined) return undefined
    path = decoded
  }
  return undefined
}

function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}

function segmentsOf(path: string): string[] {
  return path
    .split(/[/\\]/)
    .map(segment => plain(segment.replace(/(?<=.);.*$/s, '')))
    .filter(Boolean)
}

/** Normalizes a segment: removes control characters, spaces, hyphens and underscores, and lowers its case. */
function plain(segment: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern has to match control characters
  const lower = segment.replace(/[\u0000-\u0020\u007f]/g, '').toLowerCase()
  return lower.replace(/[-_]/g, '') || lower
}

function withoutDots(segments: string[]): string[] {
  const left: string[] = []
  for (const segment of segments) {
    if (segment === '..') left.pop()
    else if (segment !== '.') left.push(segment)
  }
  return left
}

import type { Auth, SignedOut } from './auth.ts'
import type { Guard } from './guards.ts'
import { isPassing, refusal, refusedAsSignedOut } from './refusal.ts'

/** Actions by name, each with the paths it is done at. */
export type ActionPatterns = Readonly<Record<string, readonly string[]>>

/**
 * Actions that only users themselves should take, with the paths that apps often have for them: a list to start from.
 * Use it as it is, or add the paths of your app:
 * `forbidActingOn({ ...neverWhileActing, closeStore: ['POST /store/close'] })`.
 *
 * In a pattern, `*` is any one segment of the path and `**` any number of them, none included. A pattern is for all
 * methods, unless it begins with some: `POST|PUT /store`. One that begins with `!` is an exception from the other
 * patterns of its action. Case, hyphens and underscores make no difference.
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
  // Looking is enough: what is seen can be taken away.
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
  // Looking is enough here too, and an export has everything.
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
  // An app that is granted access keeps it after the actor has left.
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
  // Looking is enough: they have secrets, and where the data goes.
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
    // The way out stays open.
    '!DELETE **',
    '!**/stop',
    '!**/end',
    '!**/exit',
    '!**/leave',
    '!**/release',
  ],
} as const satisfies ActionPatterns

/**
 * A guard of paths: refuses what matches while somebody is acting, and nothing to users themselves or to nobody. A path is judged by every way it could be read, and
 * one that cannot be read is refused. Still, {@link forbidActing} at the handler is the strong form: it needs no path.
 *
 * @throws TypeError if a pattern is none
 */
export function pathGuard(actions: ActionPatterns): Guard {
  const rules = Object.entries(actions).flatMap(([action, patterns]) => {
    const isException = (pattern: string) => pattern.startsWith('!')
    const exceptions = patterns.filter(isException).map(pattern => compiled(pattern.slice(1)))
    return patterns
      .filter(pattern => !isException(pattern))
      .map(pattern => ({ action, exceptions, ...compiled(pattern) }))
  })
  if (rules.length === 0) throw new TypeError('forbidActingOn is given nothing to forbid: try `neverWhileActing`.')

  return (auth, { methods: asked, urls }) => {
    if (!auth.isActing && !isUnknown(auth)) return
    const paths = urls.map(readings)
    const readable = paths.filter(each => each !== undefined).flat()
    const broken = paths.includes(undefined)
    // Each method and each reading by itself: an exception for one of them is none for another.
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

/** A token came, and whether it says that somebody is acting cannot be found out now. */
function isUnknown(auth: Auth): auth is SignedOut {
  return auth.userId === null && isPassing(auth.reason)
}

interface Pattern {
  /** Undefined for all. */
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
      `forbidActingOn: ${JSON.stringify(pattern)} is no pattern. Write '/account/email', 'DELETE /users/*' or '**/payouts/**'.`,
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
  // Routers answer HEAD with what they have for GET.
  const named = methods?.split('|').flatMap(method => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
  return { methods: named, path: new RegExp(`^${expression.join('')}$`) }
}

/** Routers and proxies decode once, or not, or again. */
const MAX_DECODINGS = 3

/**
 * Every path that a router, or anything behind it, may take this address for: decoded or not, up to the `?` or beyond
 * one that was encoded, with `..` followed or not. Undefined if it cannot be decoded, or goes on being encoded.
 */
function readings(url: string): string[] | undefined {
  const found = new Set<string>()
  // The absolute form of a request (RFC 9112 §3.2.2), and what a Request calls its url.
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

/** What is left of a segment when writing it in another way makes no difference. */
function plain(segment: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
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

import { webUrl } from './values.ts'

/** Requests, navigation and storage. */

export async function askStatus(url: string | null): Promise<boolean | undefined> {
  if (url === null || webUrl(url)?.origin !== location.origin) return undefined
  const answer = await ask(url, 'same-origin')
  const active = typeof answer === 'object' ? answer['active'] : answer
  return typeof active === 'boolean' ? active : undefined
}

/** Sends a GET. @returns the answer; `false` if it is refused; `undefined` if there is no usable answer */
export async function ask(
  url: string,
  credentials: RequestCredentials,
): Promise<Record<string, unknown> | false | undefined> {
  // A redirect means that the app sees the operator's own session, so acting has ended.
  const answer = await fetch(url, {
    credentials,
    cache: 'no-store',
    redirect: 'manual',
    signal: AbortSignal.timeout(8_000),
  })
  if (answer.type === 'opaqueredirect' || [401, 403, 404].includes(answer.status)) return false
  return answer.ok ? answer.json() : undefined
}

let visitedAt = 0

/** Navigates to a URL, or reloads the page. After five times within a minute, the page stays as it is. */
export function visit(url?: string | null): void {
  const now = Date.now()
  if (now - visitedAt < 3_000) return
  visitedAt = now
  const visits = (recall('stagedoor:visits', 'sessionStorage') ?? '')
    .split(' ')
    .filter(time => now - Number(time) < 60_000)
  if (visits.length >= 5) return
  remember('stagedoor:visits', [...visits, now].join(' '), 'sessionStorage')
  const target = webUrl(url)
  const pageOf = ({ href }: { href: string }) => href.split('#')[0]
  if (target && pageOf(target) !== pageOf(location)) location.assign(target)
  else location.reload()
}

type StorageName = 'localStorage' | 'sessionStorage'

/** Reads from storage. Returns null if storage is blocked. */
export function recall(key: string, storage: StorageName = 'localStorage'): string | null {
  try {
    return window[storage].getItem(key)
  } catch {
    return null
  }
}

export function remember(key: string, value: string, storage: StorageName = 'localStorage'): void {
  try {
    window[storage].setItem(key, value)
  } catch {}
}

export function isSeen(): boolean {
  return document.visibilityState === 'visible'
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds))
}

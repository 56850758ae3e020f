/** Every `__client` cookie of a request: someone else on the domain may have planted one beside ours. */
export function clientCookies(header: string | undefined): string[] {
  if (header === undefined) return []
  return header
    .split(';')
    .map(pair => pair.trim())
    .filter(pair => pair.startsWith('__client='))
    .map(pair => pair.slice('__client='.length))
}

/** Browsers keep a cookie for 400 days at most. */
const MAX_AGE_SECONDS = 34_560_000

/** Sets the `__client` cookie: never readable by scripts, never sent by other sites’ requests but for navigation. */
export function setClientCookie(token: string, secure: boolean): string {
  return clientCookie(token, MAX_AGE_SECONDS, secure)
}

export function forgetClientCookie(secure: boolean): string {
  return clientCookie('', 0, secure)
}

function clientCookie(value: string, maxAge: number, secure: boolean): string {
  return `__client=${value}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
}

import type { HeaderReader } from '../caller.ts'

/** The cookies of the console. */

/** Returns the values of the cookies with a name. */
export function cookiesNamed(header: HeaderReader, name: string): string[] {
  return (header('cookie') ?? '')
    .split(';')
    .map(pair => pair.trim())
    .filter(pair => pair.startsWith(`${name}=`))
    .map(pair => pair.slice(name.length + 1))
}

/** Creates a Set-Cookie value that only this host gets back, and no script reads. @param seconds 0 removes the cookie */
export function hostCookie(name: string, value: string, sameSite: 'Strict' | 'Lax', seconds?: number): string {
  const age = seconds === undefined ? '' : `; Max-Age=${seconds}`
  return `${name}=${value}; Path=/; Secure; HttpOnly; SameSite=${sameSite}${age}`
}

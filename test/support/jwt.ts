/** Returns the claims of a JWT, unverified. */
// biome-ignore lint/suspicious/noExplicitAny: tests look at single claims
export function claimsOf(jwt: string): any {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
}

/** Returns an object encoded as a part of a JWT. */
export function part(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}

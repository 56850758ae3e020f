// Sessions with cookie-session.
import { randomBytes } from 'node:crypto'
import cookieSession from 'cookie-session'
import type { Request } from 'express'
import type { ShopSession } from './stagedoor.ts'

export const session = cookieSession({
  name: 'shop',
  secret: process.env.COOKIE_SECRET ?? randomBytes(32).toString('hex'),
  sameSite: 'lax',
  httpOnly: true,
})

/** Replaces the session, which is the content of the cookie. */
export function startSession(req: Request, data: ShopSession): void {
  Object.assign(req, { session: data })
}

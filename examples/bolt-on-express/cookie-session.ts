// The same with cookie-session.
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

/** The session is the cookie: another one takes its place. */
export function startSession(req: Request, data: ShopSession): void {
  Object.assign(req, { session: data })
}

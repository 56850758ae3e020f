// Sessions with express-session.
import { randomBytes } from 'node:crypto'
import type { Request } from 'express'
import expressSession from 'express-session'
import type { ShopSession } from './stagedoor.ts'

declare module 'express-session' {
  interface SessionData extends ShopSession {}
}

export const session = expressSession({
  name: 'shop',
  secret: process.env.COOKIE_SECRET ?? randomBytes(32).toString('hex'),
  resave: false,
  saveUninitialized: false,
  cookie: { sameSite: 'lax', httpOnly: true },
})

/** Starts a session with a new id. Use it whenever rights are gained: at login, and when acting ends. */
export function startSession(req: Request, data: ShopSession): Promise<void> {
  return new Promise((resolve, reject) => {
    req.session.regenerate(error => {
      if (error) return reject(error)
      Object.assign(req.session, data)
      resolve()
    })
  })
}

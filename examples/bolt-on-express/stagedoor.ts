import { createHash } from 'node:crypto'
import { Stagedoor } from '@stagedoor/sdk'
import type { Express, Request, RequestHandler } from 'express'
import { page, text } from './pages.js' // your templates

const stagedoor = new Stagedoor() // STAGEDOOR_SERVER_URL, STAGEDOOR_SECRET_KEY

/** The session of a browser in this app. While an operator acts, `parked` is the operator's own session. */
export interface ShopSession {
  userId?: string
  acting?: Acting
  parked?: { userId?: string }
}

interface Acting {
  id: string
  actor: { sub: string }
  reason: string | null
  reasonCategory: string | null
  ticket: string | null
  until: number
  as: string
  link: string
}

export interface Shop {
  requireSupport: RequestHandler
  findUser(id: string): { id: string; name: string; email: string }
  /** Replaces the session of a browser: see session.ts. */
  startSession(req: Request, session: ShopSession): void | Promise<void>
}

/** Lets support act as a customer, and restores their own session however acting ends. */
export function addActing(app: Express, { requireSupport, findUser, startSession }: Shop): void {
  const operatorOf = ({ session }: Request) => findUser(session.userId ?? '')
  const nameOf = (ticket: string) => createHash('sha256').update(ticket).digest('hex')

  // The banner polls this. `isActive` does not count as use, so an idle session still ends.
  app.get('/acting/status', async (req, res) => {
    const { acting } = req.session
    res.json({ active: acting !== undefined && (await stagedoor.sessions.isActive(acting.id)) })
  })

  // Every other request counts as use. `touch` also detects that acting was revoked or has expired.
  app.use(async (req, res, next) => {
    const { acting, parked } = req.session
    if (!acting || (await stagedoor.sessions.touch(acting.id))) return next()
    await startSession(req, parked ?? {})
    res.redirect(303, '/support')
  })

  /** A session can act as one user at a time: shows the current user, and offers to switch. */
  const oneAtATime: RequestHandler = (req, res, next) => {
    const { acting } = req.session
    const ticket = String(req.query.__clerk_ticket ?? '')
    if (!acting) return next()
    // The same link was opened again.
    if (acting.link === nameOf(ticket)) return res.redirect(303, '/')
    const body = `<p>You can act as one user at a time.</p>
<form method="post" action="/acting/leave"><input type="hidden" name="ticket" value="${text(ticket)}">
<button>Stop acting as ${text(acting.as)}${ticket && ', and open the new link'}</button></form>
<p><a href="/">Continue as ${text(acting.as)}</a></p>`
    res.status(409).send(page(`You are acting as ${acting.as}`, req, body))
  }

  app.post('/support/act-as/:id', oneAtATime, requireSupport, async (req, res) => {
    const { id, name, email } = findUser(String(req.params.id))
    const user = await stagedoor.users.findOrCreate({ externalId: id, firstName: name, emailAddress: [email] })
    const actor = { sub: operatorOf(req).id, name: operatorOf(req).name }
    const { url } = await stagedoor.actorTokens.create({ userId: user.id, actor, reason: req.body.reason })
    res.redirect(303, url) // Stagedoor asks for confirmation, then redirects to /acting/start
  })

  app.get('/acting/start', oneAtATime, requireSupport, async (req, res) => {
    const ticket = String(req.query.__clerk_ticket ?? '')
    // A ticket for another actor is refused and stays unused. With the key, a repeated request returns the same session.
    const expected = { ticket, actorSub: operatorOf(req).id }
    const accepted = await stagedoor.actorTokens.accept(expected, { idempotencyKey: nameOf(ticket) })
    const { session, user } = accepted
    const acting = {
      id: session.id,
      actor: session.actor,
      reason: session.reason,
      reasonCategory: session.reasonCategory,
      ticket: session.ticket,
      until: session.expireAt,
      as: findUser(user.externalId ?? '').name,
      link: nameOf(ticket),
    }
    Object.assign(req.session, { userId: user.externalId, acting, parked: { userId: req.session.userId } })
    res.redirect(303, '/')
  })

  app.post('/acting/leave', async (req, res) => {
    const { acting, parked } = req.session
    if (acting) {
      await stagedoor.sessions.revoke(acting.id, { reason: 'Left' })
      await startSession(req, parked ?? {})
    }
    const next = req.body?.ticket && `/acting/start?${new URLSearchParams({ __clerk_ticket: req.body.ticket })}`
    res.redirect(303, next || '/support')
  })
}

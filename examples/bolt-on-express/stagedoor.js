import { Stagedoor } from '@stagedoor/sdk'

const stagedoor = new Stagedoor() // STAGEDOOR_SERVER_URL, STAGEDOOR_SECRET_KEY

/** Lets support act as a customer. The operator's own session is parked, and comes back however acting ends. */
export function addActing(app, { requireSupport, findUser }) {
  // It may have been revoked, or its time may be up: asked on every request while somebody acts.
  app.use(async (req, res, next) => {
    const { acting, parked } = req.session
    if (!acting || (await stagedoor.sessions.isActive(acting.id))) return next()
    req.session = parked
    res.redirect(303, '/support')
  })

  app.post('/support/act-as/:id', requireSupport, async (req, res) => {
    const { id, name, email } = findUser(req.params.id)
    const user = await stagedoor.users.findOrCreate({ externalId: id, firstName: name, emailAddress: [email] })
    const actor = { sub: req.user.id, name: req.user.name }
    const { url } = await stagedoor.actorTokens.create({ userId: user.id, actor, reason: req.body.reason })
    res.redirect(303, url) // Stagedoor asks, and sends the browser back to /acting/start
  })

  app.get('/acting/start', requireSupport, async (req, res) => {
    const { session, user, actorToken } = await stagedoor.actorTokens.accept({ ticket: req.query.__clerk_ticket })
    if (session.actor.sub !== req.user.id) return res.status(403).send('This link was made for somebody else.')
    const acting = { id: session.id, actor: session.actor, reason: actorToken.reason, until: session.expireAt }
    req.session = { userId: user.externalId, acting, parked: req.session }
    res.redirect(303, '/')
  })

  app.get('/acting/status', (req, res) => res.json({ active: Boolean(req.session.acting) }))

  app.post('/acting/leave', async (req, res) => {
    if (req.session.acting) await stagedoor.sessions.revoke(req.session.acting.id, { reason: 'Left' })
    res.redirect(303, '/support')
  })
}

// Who is behind a request, and what they may do: @stagedoor/sdk in Hono.
import { serve } from '@hono/node-server'
import { authenticate, forbidActing, getAuth, readOnlyWhileActing, requireUser } from '@stagedoor/sdk/hono'
import { recordAs } from '@stagedoor/sdk/record-as'
import { Hono } from 'hono'

const { STAGEDOOR_SERVER_URL = 'http://127.0.0.1:4100', PORT = '3000' } = process.env
const lastSeen = new Map()
const app = new Hono()

// If browsers use your app, also set `authorizedParties`: the origins of your pages.
app.use(authenticate({ issuer: STAGEDOOR_SERVER_URL }))

app.get('/', context => {
  const { userId, actor } = getAuth(context)
  const who = actor ? `${actor.sub}, acting as ${userId}` : (userId ?? 'nobody')
  return context.text(`You are ${who}.\n`)
})

app.get('/me', requireUser, context => {
  const auth = getAuth(context)
  recordAs(auth).unlessActing(() => lastSeen.set(auth.userId, Date.now()))
  return context.json({ userId: auth.userId, actor: auth.actor, lastSeen: lastSeen.get(auth.userId) ?? null })
})

// While acting, support may read but not write.
app.put('/settings/theme', readOnlyWhileActing, context => context.json({ saved: true }))

// Forbidden while acting as another user.
app.delete('/account', forbidActing, context => context.json({ deleted: getAuth(context).userId }))

const server = serve({ fetch: app.fetch, port: Number(PORT), hostname: '127.0.0.1' }, ({ port }) => {
  console.log(`http://127.0.0.1:${port}`)
})
process.on('SIGTERM', () => server.close())

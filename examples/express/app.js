// Who is behind a request, and what they may do: @stagedoor/sdk in Express.
import { authenticate, forbidActing, getAuth, readOnlyWhileActing, requireUser } from '@stagedoor/sdk/express'
import { recordAs } from '@stagedoor/sdk/record-as'
import express from 'express'

const { STAGEDOOR_SERVER_URL = 'http://127.0.0.1:4100', PORT = '3000' } = process.env
const lastSeen = new Map()
const app = express()

// If browsers use your app, also set `authorizedParties`: the origins of your pages.
app.use(authenticate({ issuer: STAGEDOOR_SERVER_URL }))

app.get('/', (request, response) => {
  const { userId, actor } = getAuth(request)
  const who = actor ? `${actor.sub}, acting as ${userId}` : (userId ?? 'nobody')
  response.type('text').send(`You are ${who}.\n`)
})

app.get('/me', requireUser, (request, response) => {
  const auth = getAuth(request)
  recordAs(auth).unlessActing(() => lastSeen.set(auth.userId, Date.now()))
  response.json({ userId: auth.userId, actor: auth.actor, lastSeen: lastSeen.get(auth.userId) ?? null })
})

// While acting, support may read but not write.
app.put('/settings/theme', readOnlyWhileActing, (_request, response) => response.json({ saved: true }))

// Forbidden while acting as another user.
app.delete('/account', forbidActing, (request, response) => response.json({ deleted: getAuth(request).userId }))

const server = app.listen(Number(PORT), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
process.on('SIGTERM', () => server.close())

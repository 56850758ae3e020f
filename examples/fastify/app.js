// Who is behind a request, and what they may do: @stagedoor/sdk in Fastify.
import { authenticate, forbidActing, getAuth, readOnlyWhileActing, requireUser } from '@stagedoor/sdk/fastify'
import { recordAs } from '@stagedoor/sdk/record-as'
import Fastify from 'fastify'

const { STAGEDOOR_SERVER_URL = 'http://127.0.0.1:4100', PORT = '3000' } = process.env
const lastSeen = new Map()
const app = Fastify()

// If browsers use your app, also set `authorizedParties`: the origins of your pages.
await app.register(authenticate, { issuer: STAGEDOOR_SERVER_URL })

app.get('/', async request => {
  const { userId, actor } = getAuth(request)
  const who = actor ? `${actor.sub}, acting as ${userId}` : (userId ?? 'nobody')
  return `You are ${who}.\n`
})

app.get('/me', { onRequest: requireUser }, async request => {
  const auth = getAuth(request)
  recordAs(auth).unlessActing(() => lastSeen.set(auth.userId, Date.now()))
  return { userId: auth.userId, actor: auth.actor, lastSeen: lastSeen.get(auth.userId) ?? null }
})

// While acting, support may read but not write.
app.put('/settings/theme', { onRequest: readOnlyWhileActing }, async () => ({ saved: true }))

// Forbidden while acting as another user.
app.delete('/account', { onRequest: forbidActing }, async request => ({ deleted: getAuth(request).userId }))

console.log(await app.listen({ port: Number(PORT), host: '127.0.0.1' }))
process.on('SIGTERM', () => app.close())

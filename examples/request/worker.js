// Who is behind a request, and what they may do: @stagedoor/sdk on any platform with Request and Response.
import { recordAs } from '@stagedoor/sdk/record-as'
import { createAuthenticator, forbidActing, readOnlyWhileActing, requireUser } from '@stagedoor/sdk/request'

const issuer = globalThis.process?.env.STAGEDOOR_SERVER_URL ?? 'http://127.0.0.1:4100'
const lastSeen = new Map()

// If browsers use your app, also set `authorizedParties`: the origins of your pages.
const authenticate = createAuthenticator({ issuer })

export default {
  async fetch(request) {
    const auth = await authenticate(request)
    const route = routes[`${request.method} ${new URL(request.url).pathname}`]
    return route ? route(auth, request) : new Response('Not found\n', { status: 404 })
  },
}

const routes = {
  'GET /': ({ userId, actor }) => {
    const who = actor ? `${actor.sub}, acting as ${userId}` : (userId ?? 'nobody')
    return new Response(`You are ${who}.\n`)
  },

  'GET /me': (auth, request) => {
    const refused = requireUser(auth, request)
    if (refused) return refused
    recordAs(auth).unlessActing(() => lastSeen.set(auth.userId, Date.now()))
    return Response.json({ userId: auth.userId, actor: auth.actor, lastSeen: lastSeen.get(auth.userId) ?? null })
  },

  // While acting, support may read but not write.
  'PUT /settings/theme': (auth, request) => {
    const refused = readOnlyWhileActing(auth, request)
    if (refused) return refused
    return Response.json({ saved: true })
  },

  // Forbidden while acting as another user.
  'DELETE /account': (auth, request) => {
    const refused = forbidActing(auth, request)
    if (refused) return refused
    return Response.json({ deleted: auth.userId })
  },
}

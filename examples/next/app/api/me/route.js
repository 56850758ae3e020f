import { recordAs } from '@stagedoor/sdk/record-as'
import { auth, requireUser } from '../../auth.js'

const lastSeen = new Map()

export const GET = requireUser(async () => {
  const me = await auth()
  recordAs(me).unlessActing(() => lastSeen.set(me.userId, Date.now()))
  return Response.json({ userId: me.userId, actor: me.actor, lastSeen: lastSeen.get(me.userId) ?? null })
})

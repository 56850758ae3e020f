import { auth } from '@clerk/nextjs/server'

/** Accepts the session cookie, or a session token as bearer. */
export async function GET() {
  const { userId, sessionId, actor = null } = await auth()
  return Response.json({ userId, sessionId, actor }, { status: userId ? 200 : 401 })
}

/** Forbidden while acting as another user. */
export async function DELETE() {
  const { userId, actor } = await auth()
  if (!userId) return Response.json({ error: 'Sign in first.' }, { status: 401 })
  if (actor) return Response.json({ error: 'Not while acting as another user.' }, { status: 403 })
  return Response.json({ deleted: userId })
}

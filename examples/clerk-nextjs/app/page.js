import { UserButton } from '@clerk/nextjs'
import { auth } from '@clerk/nextjs/server'

export default async function Home() {
  const { userId, sessionId, actor = null } = await auth()
  return (
    <main>
      <UserButton />
      <pre>{JSON.stringify({ userId, sessionId, actor })}</pre>
      {actor ? <p role="status">{actor.name ?? actor.sub} is acting.</p> : null}
    </main>
  )
}

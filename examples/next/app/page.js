import { deleteAccount } from './actions.js'
import { auth } from './auth.js'

export default async function Home() {
  const { userId, actor, isActing } = await auth()
  const who = actor ? `${actor.sub}, acting as ${userId}` : (userId ?? 'nobody')
  return (
    <main>
      <p role="status">You are {who}.</p>
      <form action={deleteAccount}>
        <button type="submit" disabled={isActing}>
          Delete my account
        </button>
      </form>
    </main>
  )
}

/** The tab in which an operator signed in again. It tells the tab that asked, and closes. */
import { useEffect } from 'react'

/** The channel between the two tabs. Both are of this origin. */
export const CHANNEL = 'stagedoor.signed-in'

export default function SignedIn() {
  useEffect(() => {
    const channel = new BroadcastChannel(CHANNEL)
    channel.postMessage('signed-in')
    channel.close()
    window.close()
  }, [])
  return (
    <main className="alone">
      <h1>You are signed in</h1>
      <p className="dim">Go back to the tab from which you came. You can close this one.</p>
    </main>
  )
}

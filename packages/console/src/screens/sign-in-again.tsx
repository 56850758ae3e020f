/** Asks for a sign-in while the page, and what was typed in it, stay. */
import { useEffect, useState } from 'react'
import { Button } from '../parts/controls.tsx'
import { Dialog } from '../parts/popups.tsx'
import { askPasskey, hasPasskeys } from '../passkey.ts'
import { type Asked, useSession } from '../session.tsx'
import { CHANNEL } from './signed-in.tsx'

export default function SignInAgain({ why, done }: Asked) {
  const { me } = useSession()
  const host = me.settings.idp_host
  const [waiting, setWaiting] = useState(false)
  const [error, setError] = useState<string>()
  useEffect(() => {
    const channel = new BroadcastChannel(CHANNEL)
    channel.onmessage = () => done(true)
    return () => channel.close()
  }, [done])
  const withPasskey = async () => {
    setError(undefined)
    try {
      await askPasskey(why === 'step-up' ? 'step_up' : 'sign_in')
      done(true)
    } catch (failed) {
      setError((failed as Error).message)
    }
  }
  return (
    <Dialog
      title="Sign in again"
      lead={
        why === 'step-up'
          ? 'This needs a sign-in that is at most 5 minutes old. What you typed stays here.'
          : 'Your session has ended. What you typed stays here.'
      }
      open
      onClose={() => done(false)}
    >
      {(host !== null || me.settings.environment === 'development') && (
        <form method="post" action="/console/login" target="_blank" rel="noopener" onSubmit={() => setWaiting(true)}>
          <input type="hidden" name="return_to" value="/console/signed-in" />
          {why === 'step-up' && <input type="hidden" name="step_up" value="1" />}
          <Button look="primary" className="large whole" type="submit">
            {host === null ? 'Continue without a passkey' : `Continue with ${host}`}
          </Button>
        </form>
      )}
      {host === null && (
        <Button className="large whole" icon="passkey" disabled={!hasPasskeys()} onClick={() => void withPasskey()}>
          Use your passkey
        </Button>
      )}
      {waiting && (
        <p className="dim" role="status">
          Sign in in the new tab. This page continues by itself.
        </p>
      )}
      {error && (
        <p className="wrong" role="alert">
          {error}
        </p>
      )}
      <div className="bar end">
        <Button onClick={() => done(false)}>Cancel</Button>
      </div>
    </Dialog>
  )
}

/** The page of a one-time link: the operator registers a passkey, and signs in with it from then on. */
import { useEffect, useRef, useState } from 'react'
import { ApiError, postOwn } from '../api.ts'
import { Button } from '../parts/controls.tsx'
import { Icon } from '../parts/icon.tsx'
import { askPasskey, hasPasskeys, localhostLink } from '../passkey.ts'

type State = 'ready' | 'busy' | 'used' | 'retry'

export default function Join() {
  const [state, setState] = useState<State>('ready')
  const [error, setError] = useState<string>()
  const token = useRef('')
  const joined = useRef(false)
  useEffect(() => {
    document.title = 'Join · Stagedoor'
    // The link works once, and must not stay in the address or in the history.
    if (location.hash.length > 1) token.current = location.hash.slice(1)
    if (localhostLink() === undefined) history.replaceState(history.state, '', '/console/join')
  }, [])
  const join = async () => {
    setState('busy')
    setError(undefined)
    try {
      if (!joined.current) {
        const answer = await postOwn<{ signed_in?: boolean }>('/join', { token: token.current })
        joined.current = true
        if (answer.signed_in) return location.replace('/console/live')
      }
      await askPasskey('register')
      location.replace('/console/live')
    } catch (failed) {
      const refused = failed instanceof ApiError && failed.status >= 400 && failed.status < 500
      setState(refused && !joined.current ? 'used' : 'retry')
      setError((failed as Error).message)
    }
  }
  const local = localhostLink()
  return (
    <main className="sign-in">
      <div className="card sign-in-card">
        <div className="sign-in-logo">
          <Icon name="passkey" size={40} />
          <h1>{state === 'used' ? 'This link does not work' : 'Welcome'}</h1>
        </div>
        {state === 'used' ? (
          <p className="center-text dim">
            It was used, it is older than an hour, or it is incomplete. Ask the person who sent it for another one.
          </p>
        ) : (
          <>
            <p className="center-text dim">Create a passkey. You sign in with it from now on; there is no password.</p>
            {local ? (
              <p className="center-text">
                Passkeys need a host name. <a href={local}>Open this page on localhost</a>
              </p>
            ) : (
              <Button
                look="primary"
                className="large whole"
                icon="passkey"
                busy={state === 'busy'}
                disabled={state === 'busy' || !hasPasskeys()}
                onClick={() => void join()}
              >
                Create a passkey
              </Button>
            )}
            {!local && !hasPasskeys() && <p className="wrong">This browser has no passkeys. Use a newer one.</p>}
          </>
        )}
        {state === 'retry' && error && (
          <p className="wrong" role="alert">
            <Icon name="alert" />
            {error}
          </p>
        )}
      </div>
    </main>
  )
}

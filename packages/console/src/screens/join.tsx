/** The page of a one-time link: the operator registers a passkey, and signs in with it from then on. */
import { useEffect, useRef, useState } from 'react'
import { ApiError, postOwn } from '../api.ts'
import { Button } from '../parts/controls.tsx'
import { Icon } from '../parts/icon.tsx'
import { askPasskey, hasPasskeys } from '../passkey.ts'

/** `link`: the link is not used yet. `passkey`: it is, and a passkey comes next. `used`: it does not work. */
type State = 'link' | 'passkey' | 'used'

export default function Join() {
  const [state, setState] = useState<State>('link')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<string>()
  const token = useRef('')
  useEffect(() => {
    document.title = 'Join · Stagedoor'
    // The link works once, and must not stay in the address or in the history.
    if (location.hash.length > 1) token.current = location.hash.slice(1)
    history.replaceState(history.state, '', '/console/join')
  }, [])
  const register = async () => {
    await askPasskey('register')
    location.replace('/console/live')
  }
  const openLink = async () => {
    try {
      const { next } = await postOwn<{ next: 'console' | 'passkey' }>('/join', { token: token.current })
      if (next === 'console') return location.replace('/console/live')
    } catch (failed) {
      if (failed instanceof ApiError && failed.status >= 400 && failed.status < 500) return setState('used')
      throw failed
    }
    setState('passkey')
    if (hasPasskeys()) await register()
  }
  const proceed = (run: () => Promise<void>) => {
    setBusy(true)
    setError(undefined)
    run()
      .catch((failed: unknown) => setError((failed as Error).message))
      .finally(() => setBusy(false))
  }
  return (
    <main className="sign-in">
      <div className="card sign-in-card">
        <div className="sign-in-logo">
          <Icon name={state === 'used' ? 'link' : 'passkey'} size={40} />
          <h1>{state === 'used' ? 'This link does not work' : 'Welcome'}</h1>
        </div>
        <p className="center-text dim">{TEXTS[state]}</p>
        {state === 'link' && (
          <Button look="primary" className="large whole" busy={busy} disabled={busy} onClick={() => proceed(openLink)}>
            Continue
          </Button>
        )}
        {state === 'passkey' && hasPasskeys() && (
          <Button
            look="primary"
            className="large whole"
            icon="passkey"
            busy={busy}
            disabled={busy}
            onClick={() => proceed(register)}
          >
            Create a passkey
          </Button>
        )}
        {state === 'passkey' && !hasPasskeys() && (
          <p className="wrong">This browser has no passkeys, or this address cannot use them. Use another browser.</p>
        )}
        {error && (
          <p className="wrong" role="alert">
            <Icon name="alert" />
            {error}
          </p>
        )}
      </div>
    </main>
  )
}

const TEXTS: Record<State, string> = {
  link: 'This link works once, in this browser.',
  passkey: 'Create a passkey. You sign in with it from now on; there is no password.',
  used: 'It was used, it is older than an hour, or it is incomplete. Ask the person who sent it for another one.',
}

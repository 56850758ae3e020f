/** The page to sign in. It says nothing about the server but how to sign in. */
import { useSearch } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import { ApiError, api } from '../api.ts'
import { Button } from '../parts/controls.tsx'
import { Icon } from '../parts/icon.tsx'
import { askPasskey, hasPasskeys, localhostLink } from '../passkey.ts'
import type { Search } from '../router.tsx'
import type { Me } from '../wire.ts'

/** How people sign in to this server. `none`: nobody can yet. */
interface Ways {
  sign_in: 'provider' | 'passkey' | 'none'
  idp_host: string | null
}

/** Only paths of the console: a link must not lead elsewhere. */
export function safeReturn(path: string | undefined): string {
  return path !== undefined && /^\/console(\/[\w\-./~%]*)?(\?[^#\\]*)?$/.test(path) ? path : '/console/live'
}

export default function SignIn() {
  const { return_to } = useSearch({ strict: false }) as Search
  const returnTo = safeReturn(return_to)
  const ways = useWays(returnTo)
  useEffect(() => {
    document.title = 'Sign in · Stagedoor'
  }, [])
  return (
    <main className="sign-in">
      <div className="card sign-in-card">
        <div className="sign-in-logo">
          <svg width="40" height="40" viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="8" className="logo-back" />
            <path d="M10 26V8.5A2.5 2.5 0 0 1 12.5 6H22v20z" className="logo-door" />
            <circle cx="18.2" cy="16" r="1.6" className="logo-back" />
          </svg>
          <h1>Stagedoor</h1>
        </div>
        {ways instanceof Error && (
          <p className="wrong" role="alert">
            <Icon name="alert" />
            {ways.message}
          </p>
        )}
        {ways && !(ways instanceof Error) && <Choose ways={ways} returnTo={returnTo} />}
      </div>
    </main>
  )
}

/** Asks who is signed in. The refusal says how to sign in. */
function useWays(returnTo: string): Ways | Error | undefined {
  const [ways, setWays] = useState<Ways | Error>()
  useEffect(() => {
    api.get<Me>('/me').then(
      () => location.replace(returnTo),
      (error: unknown) => setWays(waysOf(error)),
    )
  }, [returnTo])
  return ways
}

function waysOf(error: unknown): Ways | Error {
  const { sign_in, idp_host = null } = (error instanceof ApiError ? error.meta : {}) as Partial<Ways>
  return sign_in === undefined ? (error as Error) : { sign_in, idp_host }
}

function Choose({ ways, returnTo }: { ways: Ways; returnTo: string }) {
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<string>()
  if (ways.sign_in === 'none') return <p className="center-text">Ask the person who runs this server for access.</p>
  const passkeys = ways.sign_in === 'passkey'
  const local = localhostLink()
  const signIn = async () => {
    setBusy(true)
    setError(undefined)
    try {
      await askPasskey('sign_in')
      location.replace(returnTo)
    } catch (failed) {
      setError((failed as Error).message)
      setBusy(false)
    }
  }
  return (
    <div className="stack-tight">
      {ways.sign_in === 'provider' && (
        <form method="post" action="/console/login">
          <input type="hidden" name="return_to" value={returnTo} />
          <Button look="primary" className="large whole" type="submit" autoFocus>
            Continue with {ways.idp_host}
          </Button>
        </form>
      )}
      {passkeys && local && (
        <p className="center-text">
          Passkeys need a host name. <a href={local}>Open this page on localhost</a>
        </p>
      )}
      {passkeys && !local && hasPasskeys() && (
        <Button
          look="primary"
          icon="passkey"
          className="large whole"
          busy={busy}
          disabled={busy}
          onClick={() => void signIn()}
        >
          Use your passkey
        </Button>
      )}
      {passkeys && !local && !hasPasskeys() && <p className="wrong">This browser has no passkeys. Use a newer one.</p>}
      {error && (
        <p className="wrong" role="alert">
          <Icon name="alert" />
          {error}
        </p>
      )}
    </div>
  )
}

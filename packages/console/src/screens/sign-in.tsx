/** The page to sign in. It says nothing about the server but how to sign in. */
import { useSearch } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import { ApiError, api } from '../api.ts'
import { Button } from '../parts/controls.tsx'
import { Icon } from '../parts/icon.tsx'
import { askPasskey, hasPasskeys, localhostLink } from '../passkey.ts'
import type { Search } from '../router.tsx'
import type { Me } from '../wire.ts'

/** How people sign in to this server. */
interface Ways {
  idp_host: string | null
  passkeys: boolean
  /** Whether anybody can sign in at all. */
  operators: boolean
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
        {ways && <Choose ways={ways} returnTo={returnTo} />}
      </div>
    </main>
  )
}

/** Asks who is signed in. The refusal names the ways to sign in; if it names none, the page offers both. */
function useWays(returnTo: string): Ways | undefined {
  const [ways, setWays] = useState<Ways>()
  useEffect(() => {
    api.get<Me>('/me').then(
      () => location.replace(returnTo),
      (error: unknown) => setWays(waysOf(error instanceof ApiError ? error.meta : {})),
    )
  }, [returnTo])
  return ways
}

function waysOf({ idp_host, passkeys, operators }: Record<string, unknown>): Ways {
  const host = typeof idp_host === 'string' ? idp_host : null
  if (host === null && passkeys === undefined)
    return { idp_host: 'your identity provider', passkeys: true, operators: true }
  return { idp_host: host, passkeys: passkeys === true, operators: operators !== false }
}

function Choose({ ways, returnTo }: { ways: Ways; returnTo: string }) {
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<string>()
  if (!ways.operators && ways.idp_host === null)
    return <p className="center-text">Ask the person who runs this server for access.</p>
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
      {ways.idp_host !== null && (
        <form method="post" action="/console/login">
          <input type="hidden" name="return_to" value={returnTo} />
          <Button look="primary" className="large whole" type="submit" autoFocus>
            Continue with {ways.idp_host}
          </Button>
        </form>
      )}
      {ways.passkeys && local && (
        <p className="center-text">
          Passkeys need a host name. <a href={local}>Open this page on localhost</a>
        </p>
      )}
      {ways.passkeys && !local && hasPasskeys() && (
        <Button
          look={ways.idp_host === null ? 'primary' : 'plain'}
          icon="passkey"
          className="large whole"
          busy={busy}
          disabled={busy}
          onClick={() => void signIn()}
        >
          Use your passkey
        </Button>
      )}
      {ways.passkeys && !local && !hasPasskeys() && (
        <p className="wrong">This browser has no passkeys. Use a newer one.</p>
      )}
      {error && (
        <p className="wrong" role="alert">
          <Icon name="alert" />
          {error}
        </p>
      )}
    </div>
  )
}

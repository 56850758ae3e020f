/** Who is signed in, and what they may do. */
import { useQuery } from '@tanstack/react-query'
import { createContext, type ReactNode, use, useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { ApiError, api, whenSignedOut } from './api.ts'
import type { Acting, Me, Role } from './wire.ts'

interface Session {
  me: Me
  /** Whether the operator’s role may call this operation. */
  may(operation: string): boolean
  /** Whether the operator may end this acting session. */
  mayEnd(session: Pick<Acting, 'actor_sub'>): boolean
  /**
   * Runs something that may need a second sign-in. If it does, a dialog asks for it, and then it runs again.
   * @throws ApiError `step_up_required` if the operator cancels
   */
  withStepUp<T>(run: () => Promise<T>): Promise<T>
  /** Asks for a sign-in now. @returns whether the operator signed in */
  signInAgain(): Promise<boolean>
}

const SessionContext = createContext<Session | undefined>(undefined)

export function useSession(): Session {
  const session = use(SessionContext)
  if (!session) throw new Error('No operator is signed in.')
  return session
}

export const meQuery = {
  queryKey: ['me'],
  queryFn: () => api.get<Me>('/me'),
  retry: false,
  staleTime: 60_000,
  refetchInterval: 300_000,
}

/** What the page asks the operator for before it can continue. */
export interface Asked {
  why: 'expired' | 'step-up'
  done(signedIn: boolean): void
}

/** Provides the session to all screens, and asks for a sign-in when one is needed. */
export function SessionProvider({ children, ask }: { children: ReactNode; ask: (asked: Asked) => ReactNode }) {
  const { data: me, refetch } = useQuery(meQuery)
  const [asked, setAsked] = useState<Asked>()
  const asking = useRef(false)
  const signIn = useCallback(
    (why: Asked['why']) =>
      new Promise<boolean>(resolve => {
        asking.current = true
        setAsked({
          why,
          done(signedIn) {
            asking.current = false
            setAsked(undefined)
            if (signedIn) void refetch()
            resolve(signedIn)
          },
        })
      }),
    [refetch],
  )
  useEffect(() => {
    whenSignedOut(() => {
      if (!asking.current) void signIn('expired')
    })
    return () => whenSignedOut(() => {})
  }, [signIn])
  const session = useMemo(() => (me ? sessionOf(me, signIn) : undefined), [me, signIn])
  if (!session) return null
  return (
    <SessionContext value={session}>
      {children}
      {asked && ask(asked)}
    </SessionContext>
  )
}

function sessionOf(me: Me, signIn: (why: Asked['why']) => Promise<boolean>): Session {
  const operations = new Set(me.operations)
  return {
    me,
    may: operation => operations.has(operation),
    mayEnd: ({ actor_sub }) =>
      operations.has('RevokeSession') && (me.role !== 'support' || actor_sub === me.operator.sub),
    signInAgain: () => signIn('step-up'),
    async withStepUp(run) {
      try {
        return await run()
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 'step_up_required') throw error
        if (await signIn('step-up')) return run()
        throw error
      }
    },
  }
}

const ROLES: readonly Role[] = ['viewer', 'support', 'approver', 'admin']

/** Returns the least role that is enough, for a sentence. */
export function leastRole(roles: readonly string[]): Role | undefined {
  return ROLES.find(role => roles.includes(role))
}

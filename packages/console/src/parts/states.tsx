/** What a screen shows while it has no data. */
import type { ReactNode } from 'react'
import { ApiError } from '../api.ts'
import { leastRole, useSession } from '../session.tsx'
import { role as roleNames } from '../text/en.ts'
import { Button } from './controls.tsx'
import { Icon, type IconName } from './icon.tsx'

/** Six grey rows, in the place of the rows that come. */
export function Loading({ rows = 6, what = 'Loading' }: { rows?: number; what?: string }) {
  return (
    <div className="card skeleton" role="status" aria-label={what}>
      {Array.from({ length: rows }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are identical
        <div key={index} className="skeleton-row">
          <span />
          <span />
          <span />
        </div>
      ))}
    </div>
  )
}

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ReactNode }) {
  return (
    <div className="card empty">
      <span className="empty-icon">
        <Icon name={icon} size={24} />
      </span>
      <p className="lead strong">{title}</p>
      {children}
    </div>
  )
}

/** Says what failed, and what to do next. Says which role is needed if that is why. */
export function Failed({ what, error, again }: { what: string; error: unknown; again?: () => void }) {
  if (error instanceof ApiError && error.status === 403) return <Forbidden roles={error.roles} />
  const known = error instanceof ApiError ? error : undefined
  return (
    <div className="card empty" role="alert">
      <span className="empty-icon stop">
        <Icon name={known?.status === 0 ? 'offline' : 'alert'} size={24} />
      </span>
      <p className="lead strong">{what}</p>
      <p className="dim">
        {known?.message ?? 'Something went wrong in this page.'} {known?.action}
      </p>
      {known?.traceId && <p className="id">{known.traceId}</p>}
      {again && (
        <Button icon="refresh" onClick={again}>
          Try again
        </Button>
      )}
    </div>
  )
}

/** Says which role may do this. */
export function Forbidden({ roles, title }: { roles: readonly string[]; title?: string }) {
  const { me } = useSession()
  const needed = leastRole(roles)
  const card = (
    <Empty icon="lock" title={needed ? `This needs the role ${roleNames[needed]}.` : 'Your role may not see this.'}>
      <p className="dim">
        Your role is {roleNames[me.role]}. Ask a person who manages roles in your identity provider.
      </p>
    </Empty>
  )
  if (title === undefined) return card
  return (
    <div className="stack">
      <Title title={title} />
      {card}
    </div>
  )
}

/** One line above rows that stay: they are no longer fresh. */
export function Stale({ children, again }: { children: ReactNode; again?: () => void }) {
  return (
    <div className="note acting" role="status">
      <Icon name="offline" />
      <div className="spread grow">
        <span>{children}</span>
        {again && (
          <Button look="quiet" icon="refresh" onClick={again}>
            Try again
          </Button>
        )}
      </div>
    </div>
  )
}

/** Shows why a request failed, below the button that sent it. */
export function Wrong({ error }: { error: unknown }) {
  if (!error) return null
  const known = error instanceof ApiError ? error : undefined
  const needed = known?.status === 403 ? leastRole(known.roles) : undefined
  return (
    <p className="wrong" role="alert">
      <Icon name="alert" />
      <span>
        {known?.message ?? 'Something went wrong in this page.'}{' '}
        {needed ? `It needs the role ${roleNames[needed]}.` : known?.action}
      </span>
    </p>
  )
}

/** The title of a screen, with what belongs to the right of it. */
export function Title({ title, count, children }: { title: string; count?: ReactNode; children?: ReactNode }) {
  return (
    <header className="title">
      <div>
        <h1>{title}</h1>
        {count && <p className="dim">{count}</p>}
      </div>
      {children && <div className="bar">{children}</div>}
    </header>
  )
}

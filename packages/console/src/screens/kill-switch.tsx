/** Ends everything of an actor, of a user, or of everybody. Says first how much that is. */
import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { api } from '../api.ts'
import { actingName, actorName } from '../format.ts'
import type { LiveSession } from '../live.ts'
import { Button, Choices, Facts, Field, Note, TextField } from '../parts/controls.tsx'
import { Dialog } from '../parts/popups.tsx'
import { Wrong } from '../parts/states.tsx'
import { useSession } from '../session.tsx'
import { count } from '../text/en.ts'
import type { ActorToken, Page, Revocation, Session } from '../wire.ts'

type Scope = 'actor' | 'user' | 'everything'

interface Props {
  rows: LiveSession[]
  onClose(): void
  /** The user whose sessions end; the dialog then offers nothing else. */
  user?: { id: string; name: string }
}

export default function KillSwitch(props: Props) {
  const [done, setDone] = useState<Revocation>()
  return (
    <Dialog
      title={props.user ? `End all sessions of ${props.user.name}` : 'End all…'}
      lead="Once the server answers, no further token is issued for any of these sessions."
      open
      onClose={props.onClose}
    >
      {done ? (
        <div className="stack">
          <Note tone="ok" icon="check">
            {count(done.revoked_sessions, 'session')} and {count(done.revoked_tokens, 'pending token')} ended
            {done.complete ? '.' : ' so far; the rest is already refused.'}
          </Note>
          <Button look="primary" onClick={props.onClose}>
            Close
          </Button>
        </div>
      ) : (
        <KillForm {...props} onDone={setDone} />
      )}
    </Dialog>
  )
}

function KillForm({ rows, onClose, user, onDone }: Props & { onDone(done: Revocation): void }) {
  const { me, withStepUp } = useSession()
  const [scope, setScope] = useState<Scope>(user ? 'user' : 'actor')
  const [chosen, setChosen] = useState(user?.id ?? '')
  const [reason, setReason] = useState('')
  const [typed, setTyped] = useState('')
  const filter = filterOf(scope, chosen)
  const ready = scope === 'everything' ? typed === me.settings.instance_id : chosen !== ''
  const end = useMutation({
    mutationFn: () => {
      const what = scope === 'everything' ? { everything: true } : filter
      const body = { ...what, ...(reason.trim() === '' ? {} : { reason: reason.trim() }) }
      return withStepUp(() => api.post<Revocation>('/v1/sessions/revoke_all', body))
    },
    onSuccess: onDone,
  })
  return (
    <form
      className="stack"
      onSubmit={event => {
        event.preventDefault()
        if (ready) end.mutate()
      }}
    >
      {!user && (
        <Choices
          legend="What ends"
          choices={[
            { value: 'actor', label: 'All of one actor' },
            { value: 'user', label: 'All of one user' },
            { value: 'everything', label: 'Everything' },
          ]}
          value={scope}
          onChange={next => {
            setScope(next)
            setChosen('')
          }}
        />
      )}
      {!user && scope !== 'everything' && <Whose scope={scope} rows={rows} chosen={chosen} onChosen={setChosen} />}
      <Counts scope={scope} filter={filter} ready={scope === 'everything' || chosen !== ''} />
      <TextField label="Reason" value={reason} onChange={setReason} />
      {scope === 'everything' && (
        <TextField
          label="Type the name of this instance"
          hint={<code>{me.settings.instance_id}</code>}
          value={typed}
          onChange={setTyped}
        />
      )}
      <Wrong error={end.error} />
      <div className="bar end">
        <Button onClick={onClose}>Cancel</Button>
        <Button look="stop" type="submit" busy={end.isPending} disabled={!ready || end.isPending}>
          {scope === 'everything' ? 'End everything' : 'End all'}
        </Button>
      </div>
    </form>
  )
}

function filterOf(scope: Scope, chosen: string): Record<string, string> {
  if (scope === 'actor') return { actor_sub: chosen }
  return scope === 'user' ? { user_id: chosen } : {}
}

/** The actor or the user whose sessions end. Those that act now are suggested. */
function Whose(props: { scope: Scope; rows: LiveSession[]; chosen: string; onChosen(chosen: string): void }) {
  const actor = props.scope === 'actor'
  return (
    <Field label={actor ? 'Actor' : 'User'} hint={actor ? 'The exact sub of the actor.' : 'The ID of the user.'}>
      {control => (
        <>
          <input
            {...control}
            className="input"
            list={`${control.id}-known`}
            value={props.chosen}
            autoComplete="off"
            onChange={event => props.onChosen(event.target.value.trim())}
          />
          <datalist id={`${control.id}-known`}>
            {known(props.rows, props.scope).map(([value, label]) => (
              <option key={value} value={value} label={label} />
            ))}
          </datalist>
        </>
      )}
    </Field>
  )
}

function known(rows: LiveSession[], scope: Scope): [string, string][] {
  return [
    ...new Map(
      rows.map(row => (scope === 'actor' ? [row.actor_sub, actorName(row.actor)] : [row.user_id, actingName(row)])) as [
        string,
        string,
      ][],
    ),
  ]
}

/** How much ends: acting sessions, the users’ own sessions, and pending tokens. */
function Counts({ scope, filter, ready }: { scope: Scope; filter: Record<string, string>; ready: boolean }) {
  const page = { limit: 1, paginated: true }
  const { data, error } = useQuery({
    queryKey: ['kill-switch', scope, filter],
    enabled: ready,
    queryFn: async ({ signal }) => {
      const [acting, sessions, tokens] = await Promise.all([
        api.get<Page<unknown>>('/v1/acting', { ...filter, ...page }, signal),
        api.get<Page<Session>>('/v1/sessions', { ...filter, status: 'active', ...page }, signal),
        api.get<Page<ActorToken>>('/v1/actor_tokens', { ...filter, status: 'pending', ...page }, signal),
      ])
      return { acting: acting.total_count ?? 0, sessions: sessions.total_count ?? 0, tokens: tokens.total_count ?? 0 }
    },
  })
  const shown = (value: number | undefined) => (value === undefined ? (error ? '?' : '…') : value.toLocaleString('en'))
  if (!ready) return null
  return (
    <div className="card padded counts" aria-live="polite">
      <Facts
        facts={[
          ['Acting sessions', shown(data?.acting)],
          scope !== 'actor' && ['Users’ own sessions', shown(data && data.sessions - data.acting)],
          ['Pending tokens', shown(data?.tokens)],
        ]}
      />
    </div>
  )
}

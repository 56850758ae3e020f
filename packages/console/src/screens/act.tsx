/** Act as a user: who, why, how long, how far. The policy’s answer is next to it while the operator types. */
import { useQuery } from '@tanstack/react-query'
import { useSearch } from '@tanstack/react-router'
import { type FormEvent, type RefObject, useEffect, useMemo, useRef, useState } from 'react'
import { api } from '../api.ts'
import { isProtected, shortName, userDetail, userName } from '../format.ts'
import { Combo, type Option, useLater } from '../parts/combo.tsx'
import { Button, Choices, Field, IconButton, Note, Who } from '../parts/controls.tsx'
import { Forbidden, Title, Wrong } from '../parts/states.tsx'
import type { Search } from '../router.tsx'
import { useSession } from '../session.tsx'
import { access as accessNames, categoryName, minutes } from '../text/en.ts'
import type { ActorToken, Page, PolicyDecision, SearchResult, User } from '../wire.ts'
import { Opened, WhatHappens } from './act-answer.tsx'

type Access = 'read' | 'write' | 'scopes'

interface Form {
  category: string | undefined
  reason: string
  ticket: string
  seconds: number
  access: Access
  scopes: string
}

const CATEGORIES = ['support', 'incident', 'change', 'debug']
const LONGEST_REASON = 500

export default function Act() {
  const { may, me } = useSession()
  if (!may('CreateActorToken')) return <Forbidden title="Act as a user" roles={['support', 'approver', 'admin']} />
  return (
    <div className="stack">
      <Title
        title="Act as a user"
        count={`You act under your own name, ${me.operator.name ?? me.operator.email ?? me.operator.sub}. Every step is recorded.`}
      />
      <ActForm />
    </div>
  )
}

function ActForm() {
  const { me, signInAgain } = useSession()
  const { user: wanted } = useSearch({ strict: false }) as Search
  const [user, setUser] = useState<User>()
  const [form, setForm] = useState<Form>(() => ({
    category: undefined,
    reason: '',
    ticket: '',
    seconds: Math.min(me.settings.default_duration, me.settings.max_duration),
    access: me.settings.scope_understood ? 'read' : 'write',
    scopes: '',
  }))
  const change = (part: Partial<Form>) => setForm(before => ({ ...before, ...part }))
  const reasonField = useRef<HTMLTextAreaElement>(null)
  const ticketField = useRef<HTMLInputElement>(null)
  useWanted(wanted, setUser)
  const request = useMemo(() => (user ? requestOf(user, form) : undefined), [user, form])
  const answer = useAnswer(request)
  const creation = useCreation()
  const allowed = request !== undefined && answer.data?.decision === 'allowed' && !answer.isPlaceholderData
  const submit = (event?: FormEvent) => {
    event?.preventDefault()
    if (allowed && request) void creation.create(request)
  }
  const fix = (need: string) => {
    const [name, value = ''] = need.split(/:(.*)/s)
    if (name === 'duration') change({ seconds: Number(value) })
    if (name === 'read') change({ access: 'read' })
    if (name === 'category') change({ category: value })
    if (name === 'reason') reasonField.current?.focus()
    if (name === 'ticket') ticketField.current?.focus()
    if (name === 'login') void signInAgain().then(done => void (done && answer.refetch()))
  }
  return (
    <form
      className="act"
      onSubmit={submit}
      onKeyDown={event => {
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit(event)
      }}
    >
      <div className="card padded stack">
        <UserField user={user} onUser={setUser} />
        <ReasonFields form={form} change={change} reasonField={reasonField} ticketField={ticketField} />
        <Limits form={form} change={change} />
      </div>
      <div className="act-side">
        <section className="card padded stack" aria-label="What will happen">
          <h2>What will happen</h2>
          <WhatHappens user={user} form={form} answer={answer} onFix={fix} />
          <Button
            className="large whole"
            look="primary"
            type="submit"
            disabled={!allowed || creation.busy}
            busy={creation.busy}
          >
            {user ? `Act as ${shortName(user)} for ${minutes(form.seconds)}` : 'Act as a user'}
          </Button>
          <Wrong error={creation.error} />
          {creation.token?.url && <Opened url={creation.token.url} />}
        </section>
        <p className="meta">
          <kbd>Ctrl</kbd> <kbd>Enter</kbd> does the same as the button.
        </p>
      </div>
    </form>
  )
}

/** Loads the user that the address names. */
function useWanted(id: string | undefined, onUser: (user: User) => void): void {
  const { data } = useQuery({
    queryKey: ['user', id],
    enabled: id !== undefined,
    queryFn: ({ signal }) => api.get<User>(`/v1/users/${id}`, {}, signal),
  })
  useEffect(() => {
    if (data) onUser(data)
  }, [data, onUser])
}

function requestOf(user: User, form: Form) {
  const scopes = form.scopes.split(/[\s,]+/).filter(Boolean)
  const text = (value: string) => (value.trim() === '' ? undefined : value.trim())
  return {
    user_id: user.id,
    session_max_duration_in_seconds: form.seconds,
    access: form.access === 'read' ? ('read' as const) : ('write' as const),
    scopes: form.access === 'scopes' && scopes.length > 0 ? scopes : undefined,
    reason: text(form.reason),
    reason_category: form.category,
    ticket: text(form.ticket),
  }
}

type Request = ReturnType<typeof requestOf>

/** The policy’s answer to the request, a moment after it last changed. */
function useAnswer(request: Request | undefined) {
  const later = useLater(request)
  const query = useQuery({
    queryKey: ['explain', later],
    enabled: later !== undefined,
    queryFn: ({ signal }) => api.post<PolicyDecision>('/v1/policy/explain', later, signal),
    placeholderData: before => before,
    retry: false,
  })
  return { ...query, isPlaceholderData: query.isPlaceholderData || later !== request }
}

function useCreation() {
  const { withStepUp } = useSession()
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const [token, setToken] = useState<ActorToken>()
  const create = async (request: Request) => {
    setBusy(true)
    setError(undefined)
    setToken(undefined)
    try {
      const body = { ...request, return_url: `${location.origin}/console/act` }
      const created = await withStepUp(() => api.post<ActorToken>('/v1/actor_tokens', body))
      setToken(created)
      // The page of the app that follows learns nothing about the console, and cannot reach it.
      window.open(created.url, '_blank', 'noopener')
    } catch (failed) {
      setError(failed)
    } finally {
      setBusy(false)
    }
  }
  return { busy, error, token, create }
}

function blockedBecause(user: User): string | undefined {
  if (user.banned) return 'Banned'
  if (user.locked) return 'Locked'
  return undefined
}

interface FoundUser extends Option {
  user: User
}

function UserField({ user, onUser }: { user: User | undefined; onUser(user: User | undefined): void }) {
  const [text, setText] = useState('')
  const query = useLater(text.trim())
  const { data, isFetching, error } = useQuery({
    queryKey: ['search', query],
    enabled: query.length > 0,
    queryFn: ({ signal }) => api.get<SearchResult>('/v1/search', { query }, signal),
  })
  const options = useMemo((): FoundUser[] => {
    if (query === '') return []
    return (data?.users ?? []).slice(0, 8).map(found => {
      const blocked = blockedBecause(found)
      const detail = [userDetail(found) ?? found.id, ...(isProtected(found) ? ['protected'] : [])].join(' · ')
      return { id: found.id, label: userName(found), detail, user: found, ...(blocked ? { blocked } : {}) }
    })
  }, [data, query])
  if (user)
    return (
      <div className="field">
        <span className="label">User</span>
        <div className="picked">
          <Who name={userName(user)} detail={userDetail(user)} />
          <IconButton label="Choose another user" icon="cross" onClick={() => onUser(undefined)} />
        </div>
      </div>
    )
  const nothing = query !== '' && data && !isFetching ? `No user matches “${query}”.` : undefined
  return (
    <div className="stack-tight">
      <Field label="User">
        {({ id }) => (
          <Combo
            id={id}
            label="User"
            placeholder="Name, e-mail or ID"
            icon="search"
            autoFocus
            text={text}
            onText={setText}
            options={options}
            state={error ? 'The search failed. Try again.' : nothing}
            onChoose={option => {
              setText('')
              onUser(option.user)
            }}
          />
        )}
      </Field>
      <Recent onUser={onUser} />
    </div>
  )
}

/** The last five users as whom this operator acted. */
function Recent({ onUser }: { onUser(user: User): void }) {
  const { me } = useSession()
  const { data } = useQuery({
    queryKey: ['recent', me.operator.sub],
    queryFn: async ({ signal }) => {
      const filter = { actor_sub: me.operator.sub, limit: 30, paginated: true, total_count: false }
      const tokens = await api.get<Page<ActorToken>>('/v1/actor_tokens', filter, signal)
      const ids = [...new Set(tokens.data.map(({ user_id }) => user_id))].slice(0, 5)
      const users = await Promise.all(
        ids.map(id => api.get<User>(`/v1/users/${id}`, {}, signal).catch(() => undefined)),
      )
      return users.filter(user => user !== undefined)
    },
  })
  if (!data || data.length === 0) return null
  return (
    <div className="bar">
      <span className="meta">Lately:</span>
      {data.map(user => (
        <button
          key={user.id}
          type="button"
          className="chip"
          disabled={user.banned || user.locked}
          onClick={() => onUser(user)}
        >
          <bdi>{userName(user)}</bdi>
        </button>
      ))}
    </div>
  )
}

interface Part {
  form: Form
  change(part: Partial<Form>): void
}

function ReasonFields(
  props: Part & { reasonField: RefObject<HTMLTextAreaElement | null>; ticketField: RefObject<HTMLInputElement | null> },
) {
  const { form, change } = props
  const { me } = useSession()
  const categories = [...new Set([...me.settings.reason_categories, ...CATEGORIES])].slice(0, 6)
  return (
    <>
      <Choices
        legend="Reason"
        look="chips"
        choices={categories.map(value => ({ value, label: categoryName(value) }))}
        value={form.category}
        onChange={category => change({ category })}
      />
      <Field
        label="In a sentence"
        aside={`${form.reason.length} of ${LONGEST_REASON}`}
        hint="The user may read it, in the banner and in the audit log."
      >
        {control => (
          <textarea
            {...control}
            ref={props.reasonField}
            className="input"
            rows={2}
            maxLength={LONGEST_REASON}
            value={form.reason}
            onChange={event => change({ reason: event.target.value })}
          />
        )}
      </Field>
      <Field label="Ticket" hint="Its number or its address.">
        {control => (
          <input
            {...control}
            ref={props.ticketField}
            className="input"
            maxLength={500}
            value={form.ticket}
            onChange={event => change({ ticket: event.target.value })}
          />
        )}
      </Field>
    </>
  )
}

function Limits({ form, change }: Part) {
  const { me } = useSession()
  const { max_duration, scope_understood } = me.settings
  const durations = [900, 1_800, 3_600].filter(seconds => seconds <= max_duration)
  if (!durations.includes(form.seconds)) durations.unshift(form.seconds)
  return (
    <>
      <Choices
        legend="Duration"
        choices={durations.map(seconds => ({ value: String(seconds), label: minutes(seconds) }))}
        value={String(form.seconds)}
        onChange={seconds => change({ seconds: Number(seconds) })}
      />
      <Choices
        legend="Access"
        choices={[
          { value: 'read', label: accessNames.read, icon: 'eye' },
          { value: 'write', label: accessNames.write, icon: 'pencil' },
          { value: 'scopes', label: 'Scopes', icon: 'scopes' },
        ]}
        value={form.access}
        onChange={access => change({ access })}
      />
      {form.access === 'scopes' && (
        <Field label="Scopes" hint="Names that your app knows, with a space between them: invoices:read invoices:send">
          {control => (
            <input
              {...control}
              className="input mono"
              value={form.scopes}
              autoComplete="off"
              spellCheck={false}
              onChange={event => change({ scopes: event.target.value })}
            />
          )}
        </Field>
      )}
      {form.access !== 'write' && !scope_understood && (
        <Note tone="acting" icon="alert">
          The sign-in page of your app is not in <code>STAGEDOOR_SCOPE_ORIGINS</code>. It will refuse this session,
          because it may not apply the limit.
        </Note>
      )}
    </>
  )
}

/** The policy: rules as sentences, their text, and what a change would do before it is saved. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useBlocker, useSearch } from '@tanstack/react-router'
import { Fragment, useMemo, useState } from 'react'
import { ApiError, api } from '../api.ts'
import { day } from '../format.ts'
import { useLater } from '../parts/combo.tsx'
import { Button, Note, Tabs, Tag } from '../parts/controls.tsx'
import { Editor } from '../parts/editor.tsx'
import { Icon } from '../parts/icon.tsx'
import { Dialog } from '../parts/popups.tsx'
import { Failed, Forbidden, Loading, Title } from '../parts/states.tsx'
import type { Search } from '../router.tsx'
import { useSession } from '../session.tsx'
import { count } from '../text/en.ts'
import type { Policy, PolicyCheck } from '../wire.ts'
import { Explain } from './policy-explain.tsx'
import { SavePolicy } from './policy-save.tsx'
import { Versions } from './policy-versions.tsx'
import { WhatIf } from './policy-what-if.tsx'

const TABS = [
  ['rules', 'Rules'],
  ['explain', 'Explain'],
  ['what-if', 'What if'],
  ['versions', 'Versions'],
] as const

/** The rule of the default policy. */
const DEFAULT_RULE = 'default.backend'
/** The rule that no policy can switch off. */
const ALWAYS_ON = 'base.blocked'

export interface Draft {
  text: string
  off: string[]
}

export default function PolicyScreen() {
  const { may } = useSession()
  const { data, error, refetch } = useQuery({
    queryKey: ['policy'],
    enabled: may('GetPolicy'),
    refetchInterval: false,
    queryFn: ({ signal }) => api.get<Policy>('/v1/policy', {}, signal),
  })
  if (!may('GetPolicy')) return <Forbidden title="Policy" roles={['viewer', 'support', 'approver', 'admin']} />
  if (!data)
    return (
      <div className="stack">
        <Title title="Policy" />
        {error ? (
          <Failed what="The policy could not be read." error={error} again={() => void refetch()} />
        ) : (
          <Loading what="Loading the policy" />
        )}
      </div>
    )
  return <Known policy={data} />
}

function sameDraft(draft: Draft, policy: Policy): boolean {
  return draft.text === policy.text && [...draft.off].sort().join() === [...policy.off].sort().join()
}

function Known({ policy }: { policy: Policy }) {
  const { may } = useSession()
  const client = useQueryClient()
  const { tab = 'rules' } = useSearch({ strict: false }) as Search
  const [base, setBase] = useState(policy)
  const [draft, setDraft] = useState<Draft>({ text: policy.text, off: policy.off })
  const [saving, setSaving] = useState(false)
  const mayChange = may('PutPolicy')
  const changed = !sameDraft(draft, base)
  const check = useCheck(draft, mayChange)
  const adopt = (saved: Policy) => {
    client.setQueryData(['policy'], saved)
    void client.invalidateQueries({ queryKey: ['policy-versions'] })
    setBase(saved)
    setDraft({ text: saved.text, off: saved.off })
    setSaving(false)
  }
  return (
    <div className="stack">
      <Title title="Policy" count={<Version policy={base} changed={changed} />}>
        {changed && (
          <Button icon="undo" onClick={() => setDraft({ text: base.text, off: base.off })}>
            Discard
          </Button>
        )}
        {mayChange && (
          <Button look="primary" disabled={!changed || check.data?.valid === false} onClick={() => setSaving(true)}>
            Save policy
          </Button>
        )}
      </Title>
      <Leaving changed={changed} />
      <Tabs label="Policy" tabs={TABS.filter(([name]) => name !== 'what-if' || mayChange)} current={tab} />
      {tab === 'rules' && (
        <Rules draft={draft} onDraft={setDraft} check={check.data} readOnly={!mayChange} failed={check.error} />
      )}
      {tab === 'explain' && <Explain />}
      {tab === 'what-if' && <WhatIf draft={draft} changed={changed} />}
      {tab === 'versions' && <Versions current={base.version} onRestored={adopt} />}
      {saving && <SavePolicy base={base} draft={draft} onSaved={adopt} onClose={() => setSaving(false)} />}
    </div>
  )
}

function Version({ policy, changed }: { policy: Policy; changed: boolean }) {
  return (
    <span className="bar">
      {policy.version === 0
        ? 'The default policy: every actor that your backend names may act, except as protected users.'
        : `Version ${policy.version}${policy.created_at === null ? '' : `, since ${day(policy.created_at)}`}`}
      {changed && (
        <Tag tone="accent" icon="pencil">
          Not saved
        </Tag>
      )}
    </span>
  )
}

/** What the server says about the draft, a moment after the last key press. */
function useCheck(draft: Draft, enabled: boolean) {
  const later = useLater(draft, 400)
  return useQuery({
    queryKey: ['policy-check', later],
    enabled,
    queryFn: ({ signal }) => api.post<PolicyCheck>('/v1/policy/check', later, signal),
    placeholderData: before => before,
  })
}

/** Asks before a change is lost. */
function Leaving({ changed }: { changed: boolean }) {
  const blocker = useBlocker({
    shouldBlockFn: ({ current, next }) => changed && current.pathname !== next.pathname,
    enableBeforeUnload: changed,
    withResolver: true,
  })
  const blocked = blocker.status === 'blocked'
  return (
    <Dialog
      title="Leave without saving?"
      lead="The change of the policy is lost."
      open={blocked}
      onClose={() => blocker.reset?.()}
    >
      <div className="bar end">
        <Button onClick={() => blocker.reset?.()}>Stay</Button>
        <Button look="stop" onClick={() => blocker.proceed?.()}>
          Leave
        </Button>
      </div>
    </Dialog>
  )
}

interface RulesProps {
  draft: Draft
  onDraft(draft: Draft): void
  check: PolicyCheck | undefined
  readOnly: boolean
  failed: unknown
}

function Rules({ draft, onDraft, check, readOnly, failed }: RulesProps) {
  const marks = useMemo(
    () => [
      ...(check?.errors ?? []).map(problem => ({ ...problem, tone: 'stop' as const })),
      ...(check?.warnings ?? []).map(problem => ({ ...problem, tone: 'acting' as const })),
    ],
    [check],
  )
  const base = [
    ...new Set([...(check?.rules ?? []).filter(({ line }) => line === null).map(({ id }) => id), ...draft.off]),
  ].sort()
  const own = (check?.rules ?? []).filter(({ line }) => line !== null)
  return (
    <div className="policy">
      <div className="stack">
        <section className="card padded stack-tight" aria-label="Your rules">
          <h2>Your rules</h2>
          {own.length === 0 && (
            <p className="dim">
              {readOnly ? 'Only admins see the rules as sentences.' : 'None yet. Write one in Cedar.'}
            </p>
          )}
          <ul className="rules">
            {own.map(rule => (
              <li key={rule.id}>
                <Icon name={rule.effect === 'permit' ? 'allowed' : 'refused'} />
                <div>
                  <p>
                    {rule.title ?? rule.message ?? (rule.effect === 'permit' ? 'Permits acting.' : 'Forbids acting.')}
                  </p>
                  <p className="meta">
                    <code>{rule.id}</code>, line {rule.line}
                  </p>
                </div>
              </li>
            ))}
          </ul>
          {!readOnly && (own.length === 0 || own.some(({ id }) => id === DEFAULT_RULE)) && (
            <>
              <p className="meta">Start from an example:</p>
              <Examples onChoose={text => onDraft({ ...draft, text })} />
            </>
          )}
        </section>
        {base.length > 0 && (
          <section className="card padded stack-tight base-rules" aria-label="Base rules">
            <h2>Base rules</h2>
            <p className="dim">Part of every policy.</p>
            <ul className="rules">
              {base.map(id => (
                <li key={id}>
                  <label className="check base-rule">
                    <input
                      type="checkbox"
                      role="switch"
                      aria-checked={!draft.off.includes(id)}
                      checked={!draft.off.includes(id)}
                      disabled={readOnly || id === ALWAYS_ON}
                      onChange={event =>
                        onDraft({
                          ...draft,
                          off: event.target.checked ? draft.off.filter(each => each !== id) : [...draft.off, id],
                        })
                      }
                    />
                    <span>
                      {BASE_TEXTS[id] ?? check?.rules.find(rule => rule.id === id)?.message ?? id}
                      <code className="meta"> {id}</code>
                    </span>
                  </label>
                </li>
              ))}
            </ul>
          </section>
        )}
      </div>
      <section className="stack-tight" aria-label="Text">
        <Editor
          label="The rules, in Cedar"
          value={draft.text}
          onChange={text => onDraft({ ...draft, text })}
          readOnly={readOnly}
          marks={marks}
        />
        <Problems check={check} failed={failed} />
      </section>
    </div>
  )
}

/** The base rules, as sentences. */
const BASE_TEXTS: Record<string, string> = {
  'base.self': 'Nobody acts as themselves.',
  'base.protected': 'Nobody acts as a protected user.',
  'base.operators': 'Nobody acts as an operator.',
  'base.upward': 'Nobody acts as somebody with a higher level.',
  'base.blocked': 'Nobody acts who is banned, locked or disabled, or as such a user.',
  'base.nesting': 'An operator acts as one user at a time.',
  'base.depth': 'A chain of actors has at most four members.',
  'base.duration': 'Acting lasts at most eight hours.',
  'base.reason': 'In production a reason is required.',
  'base.break_glass': 'Break-glass access needs a reason, and lasts at most 15 minutes.',
  'base.unowned': 'In production an agent needs an owner.',
}

function Problems({ check, failed }: { check: PolicyCheck | undefined; failed: unknown }) {
  if (failed)
    return (
      <Note tone="stop" icon="alert">
        {failed instanceof ApiError ? failed.message : 'The policy could not be checked.'}
      </Note>
    )
  if (!check) return null
  const problems = [
    ...check.errors.map(problem => ({ ...problem, tone: 'stop' as const })),
    ...check.warnings.map(problem => ({ ...problem, tone: 'acting' as const })),
  ]
  if (problems.length === 0)
    return (
      <p className="fine" role="status">
        <Icon name="check" />
        {count(check.rules.filter(({ line }) => line !== null).length, 'rule')} of your own, no problems
        {check.time_dependent ? '. Decisions can change with the time of day.' : ''}
      </p>
    )
  return (
    <ul className="stack-tight" aria-live="polite">
      {problems.map(({ tone, line, column, message, help }) => (
        <li key={`${line} ${column} ${message}`}>
          <Note tone={tone} icon="alert">
            {line !== null && (
              <span className="strong">
                Line {line}
                {column === null ? '' : `, column ${column}`}:{' '}
              </span>
            )}
            <WithCode text={[message, help].filter(Boolean).join(' ')} />
          </Note>
        </li>
      ))}
    </ul>
  )
}

/** Shows what is between backticks as code. */
function WithCode({ text }: { text: string }) {
  return text.split('`').map((part, index) => {
    const key = `${index} ${part}`
    return index % 2 === 0 ? <Fragment key={key}>{part}</Fragment> : <code key={key}>{part}</code>
  })
}

const EXAMPLES = [
  {
    name: 'Support only looks',
    text: `@id("support.read")
@title("Support looks, for up to half an hour.")
permit (principal in Team::"support", action == Action::"read", resource)
when { context.duration <= 1800 };
`,
  },
  {
    name: 'Changes need a ticket',
    text: `@id("support")
@title("Support acts as users.")
permit (principal in Team::"support", action in Action::"act", resource);

@id("tickets")
@message("A change needs a ticket.")
forbid (principal, action == Action::"write", resource)
unless { context has reason && context.reason has ticket };
`,
  },
  {
    name: 'Business hours',
    text: `@id("support")
@title("Support acts as users.")
permit (principal in Team::"support", action in Action::"act", resource);

@id("business-hours")
@message("Outside business hours only on-call may act as users.")
forbid (principal is Operator, action in Action::"act", resource)
unless { (context.time.weekday <= 5 && context.time.minute >= 540 && context.time.minute < 1080)
         || principal in Team::"on-call" };
`,
  },
] as const

function Examples({ onChoose }: { onChoose(text: string): void }) {
  return (
    <div className="bar">
      {EXAMPLES.map(({ name, text }) => (
        <button key={name} type="button" className="chip" onClick={() => onChoose(text)}>
          {name}
        </button>
      ))}
    </div>
  )
}

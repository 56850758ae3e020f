/** Runs the draft over live sessions and recent decisions, without changing anything. */
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { api } from '../api.ts'
import { Button, Note } from '../parts/controls.tsx'
import { Empty, Failed, Loading } from '../parts/states.tsx'
import { Table } from '../parts/table.tsx'
import { count } from '../text/en.ts'
import type { PolicyWhatIf } from '../wire.ts'
import type { Draft } from './policy.tsx'

export function WhatIf({ draft, changed }: { draft: Draft; changed: boolean }) {
  const [asked, setAsked] = useState<Draft>()
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ['policy-what-if', asked, 30],
    enabled: asked !== undefined,
    queryFn: ({ signal }) => api.post<PolicyWhatIf>('/v1/policy/what_if', { ...asked, days: 30 }, signal),
    retry: false,
  })
  if (!changed && !asked)
    return (
      <Empty icon="policy" title="There is no draft.">
        <p className="dim">
          Change a rule first. Then this says which live sessions would end, and what the last 30 days would have been.
        </p>
      </Empty>
    )
  return (
    <div className="stack">
      <div className="bar">
        <Button
          look="primary"
          busy={isFetching}
          disabled={isFetching}
          onClick={() => (asked === draft ? void refetch() : setAsked(draft))}
        >
          Run the draft
        </Button>
        <span className="dim">Over live sessions and the last 30 days. It changes nothing.</span>
      </div>
      {error && <Failed what="The draft could not be run." error={error} />}
      {isFetching && <Loading rows={3} what="Running the draft" />}
      {data && !isFetching && <Result result={data} />}
    </div>
  )
}

function Result({ result }: { result: PolicyWhatIf }) {
  const { live, acts } = result
  const rules = Object.entries(acts.by_rule).sort(([, a], [, b]) => b - a)
  const changes = acts.refused + acts.newly_allowed
  return (
    <>
      <Note
        tone={live.refused + acts.refused > 0 ? 'acting' : 'ok'}
        icon={live.refused + acts.refused > 0 ? 'alert' : 'check'}
      >
        <p>
          {live.refused} of {count(live.checked, 'live session')} would end.
        </p>
        <p>
          {changes} of {count(acts.checked, 'decision')} change: {acts.refused} now refused, {acts.newly_allowed} now
          allowed.
        </p>
        {!result.complete && <p>There were more than could be decided about in 20 seconds.</p>}
      </Note>
      {live.sessions.length > 0 && (
        <section className="stack-tight">
          <h2>Sessions that would end</h2>
          <Table
            caption="Sessions that would end"
            rows={live.sessions}
            idOf={row => row.session_id}
            columns={[
              { head: 'Actor', cell: row => row.actor_sub },
              { head: 'User', cell: row => <span className="id">{row.user_id}</span> },
              { head: 'Refused by', cell: row => <code>{row.determined_by.join(', ') || 'no rule permits it'}</code> },
            ]}
          />
        </section>
      )}
      {rules.length > 0 && (
        <section className="stack-tight">
          <h2>Decisions that would be refused, by rule</h2>
          <Table
            caption="Decisions that would be refused, by rule"
            rows={rules}
            idOf={([rule]) => rule}
            columns={[
              { head: 'Rule', cell: ([rule]) => <code>{rule === '(none)' ? 'no rule permits it' : rule}</code> },
              { head: 'Decisions', className: 'number', cell: ([, number]) => number.toLocaleString('en') },
            ]}
          />
        </section>
      )}
    </>
  )
}

/** Asks the policy: may this actor act as this user, and which rules decide? */
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { api } from '../api.ts'
import { Button, Choices, Field, Note } from '../parts/controls.tsx'
import { Icon } from '../parts/icon.tsx'
import { Failed, Forbidden } from '../parts/states.tsx'
import { useSession } from '../session.tsx'
import { access as accessNames, minutes, needText } from '../text/en.ts'
import type { PolicyDecision } from '../wire.ts'

interface Question {
  user_id: string
  actor?: { sub: string }
  access: 'read' | 'write'
  session_max_duration_in_seconds: number
}

export function Explain() {
  const { may, me } = useSession()
  const [user, setUser] = useState('')
  const [actor, setActor] = useState(me.operator.sub)
  const [access, setAccess] = useState<'read' | 'write'>('read')
  const [seconds, setSeconds] = useState('900')
  const [asked, setAsked] = useState<Question>()
  const { data, error, isFetching } = useQuery({
    queryKey: ['explain', asked],
    enabled: asked !== undefined,
    queryFn: ({ signal }) => api.post<PolicyDecision>('/v1/policy/explain', asked, signal),
    retry: false,
  })
  if (!may('ExplainPolicy')) return <Forbidden roles={['support', 'approver', 'admin']} />
  const others = me.role === 'admin'
  return (
    <div className="policy">
      <form
        className="card padded stack"
        onSubmit={event => {
          event.preventDefault()
          setAsked({
            user_id: user.trim(),
            access,
            session_max_duration_in_seconds: Number(seconds),
            ...(others && actor.trim() !== '' ? { actor: { sub: actor.trim() } } : {}),
          })
        }}
      >
        <Field label="Actor" hint={others ? 'The sub of any actor.' : 'Only admins may ask about others.'}>
          {control => (
            <input
              {...control}
              className="input"
              readOnly={!others}
              value={actor}
              onChange={event => setActor(event.target.value)}
            />
          )}
        </Field>
        <Field label="User" hint="The ID of the user.">
          {control => (
            <input
              {...control}
              className="input mono"
              autoComplete="off"
              value={user}
              onChange={event => setUser(event.target.value)}
            />
          )}
        </Field>
        <Choices<'read' | 'write'>
          legend="Access"
          choices={[
            { value: 'read', label: accessNames.read },
            { value: 'write', label: accessNames.write },
          ]}
          value={access}
          onChange={setAccess}
        />
        <Choices
          legend="Duration"
          choices={['900', '1800', '3600'].map(value => ({ value, label: minutes(Number(value)) }))}
          value={seconds}
          onChange={setSeconds}
        />
        <Button look="primary" type="submit" busy={isFetching} disabled={user.trim() === '' || isFetching}>
          Explain
        </Button>
      </form>
      <div className="stack" aria-live="polite">
        {error && <Failed what="The policy did not answer." error={error} />}
        {!data && !error && <p className="dim">The decision appears here, with the rules that made it.</p>}
        {data && <Decision decision={data} />}
      </div>
    </div>
  )
}

/** A decision as a tree: the answer, the rules that made it, and what they were applied to. */
function Decision({ decision }: { decision: PolicyDecision }) {
  const allowed = decision.decision === 'allowed'
  return (
    <>
      <Note tone={allowed ? 'ok' : 'stop'} icon={allowed ? 'allowed' : 'refused'}>
        <p className="strong">{allowed ? 'Allowed' : 'Refused'}</p>
        <p>
          Policy version {decision.policy_version}, {accessNames[decision.access].toLowerCase()}
        </p>
      </Note>
      <ul className="tree">
        <li>
          Decided by
          <ul>
            {decision.determined_by.length === 0 && <li className="dim">No rule permits it</li>}
            {decision.determined_by.map(rule => (
              <li key={rule.id}>
                <Icon name={rule.effect === 'permit' ? 'allowed' : 'refused'} /> <code>{rule.id}</code>{' '}
                {rule.title ?? rule.message}
              </li>
            ))}
          </ul>
        </li>
        {!allowed && decision.permitted_by.length > 0 && (
          <li>
            It would be permitted by
            <ul>
              {decision.permitted_by.map(rule => (
                <li key={rule}>
                  <code>{rule}</code>
                </li>
              ))}
            </ul>
          </li>
        )}
        {decision.needs.length > 0 && (
          <li>
            This would help
            <ul>
              {decision.needs.map(needs => (
                <li key={needs.join()}>{needs.map(needText).join(' and ')}</li>
              ))}
            </ul>
          </li>
        )}
      </ul>
      <details>
        <summary>What the rules were applied to</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable with the keyboard */}
        <pre tabIndex={0}>{JSON.stringify(decision.facts, null, 2)}</pre>
      </details>
    </>
  )
}

/** Who may sign in to the console, and what they may do there. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api } from '../api.ts'
import { Button, Choices, Copy, Field, Tag, Who } from '../parts/controls.tsx'
import { Dialog } from '../parts/popups.tsx'
import { Empty, Failed, Loading, Wrong } from '../parts/states.tsx'
import { Table } from '../parts/table.tsx'
import { Ago } from '../parts/time.tsx'
import { useSession } from '../session.tsx'
import { role as roleNames } from '../text/en.ts'
import type { Operator, Page, Role } from '../wire.ts'

export function Operators() {
  const { may } = useSession()
  const [inviting, setInviting] = useState(false)
  const { data, error, refetch } = useQuery({
    queryKey: ['operators'],
    queryFn: ({ signal }) => api.get<Page<Operator>>('/v1/operators', { limit: 100, paginated: true }, signal),
  })
  return (
    <section className="stack">
      <div className="spread">
        <div>
          <h2>Operators</h2>
          <p className="dim">With an identity provider, its groups give the roles, at each sign-in.</p>
        </div>
        {may('InviteOperator') && (
          <Button icon="plus" onClick={() => setInviting(true)}>
            Invite
          </Button>
        )}
      </div>
      {!data &&
        (error ? (
          <Failed what="The operators could not be read." error={error} again={() => void refetch()} />
        ) : (
          <Loading rows={3} />
        ))}
      {data && data.data.length === 0 && (
        <Empty icon="users" title="There are no operators yet.">
          <p className="dim">Set up your identity provider, or invite the first person.</p>
        </Empty>
      )}
      {data && data.data.length > 0 && <OperatorTable operators={data.data} />}
      {inviting && <Invite onClose={() => setInviting(false)} />}
    </section>
  )
}

/** Where a role comes from. */
const SOURCES: Record<Operator['role_source'], string> = {
  claim: 'From the identity provider',
  link: 'Invited',
  development: 'Link of stagedoor dev',
}

function OperatorTable({ operators }: { operators: Operator[] }) {
  const { may, me, withStepUp } = useSession()
  const client = useQueryClient()
  const [asked, setAsked] = useState<Operator>()
  const change = useMutation({
    mutationFn: ({ id, disabled_at }: Operator) =>
      withStepUp(() => api.post<Operator>(`/v1/operators/${id}/${disabled_at === null ? 'disable' : 'enable'}`)),
    onSuccess: () => {
      setAsked(undefined)
      return client.invalidateQueries({ queryKey: ['operators'] })
    },
  })
  const verb = asked?.disabled_at === null ? 'Disable' : 'Enable'
  return (
    <>
      <Table
        caption="Operators"
        rows={operators}
        idOf={row => row.id}
        columns={[
          {
            head: 'Name',
            className: 'name-cell',
            cell: ({ name, email, sub }) => <Who name={name ?? email ?? sub} detail={email ?? sub} />,
          },
          {
            head: 'Role',
            cell: ({ role, role_source }) => (
              <span className="who">
                <span>{roleNames[role]}</span>
                <span className="who-detail">{SOURCES[role_source]}</span>
              </span>
            ),
          },
          {
            head: 'Last sign-in',
            className: 'nowrap',
            cell: ({ last_sign_in_at }) =>
              last_sign_in_at === null ? <span className="dim">Never</span> : <Ago at={last_sign_in_at} />,
          },
          {
            head: 'State',
            cell: ({ disabled_at }) =>
              disabled_at === null ? (
                <Tag tone="ok" icon="check">
                  Enabled
                </Tag>
              ) : (
                <Tag tone="stop" icon="ban">
                  Disabled
                </Tag>
              ),
          },
          {
            head: 'Change',
            hideHead: true,
            className: 'actions',
            cell: row =>
              row.id !== me.operator.id &&
              may(row.disabled_at === null ? 'DisableOperator' : 'EnableOperator') && (
                <Button look={row.disabled_at === null ? 'stop-quiet' : 'plain'} onClick={() => setAsked(row)}>
                  {row.disabled_at === null ? 'Disable' : 'Enable'}
                </Button>
              ),
          },
        ]}
      />
      <Dialog
        title={`${verb} ${asked?.name ?? asked?.email ?? asked?.sub ?? ''}?`}
        lead={
          verb === 'Disable'
            ? 'Their console sessions and the sessions in which they act end at once.'
            : 'They can sign in again, with the role that your identity provider gives.'
        }
        open={asked !== undefined}
        onClose={() => setAsked(undefined)}
      >
        <Wrong error={change.error} />
        <div className="bar end">
          <Button onClick={() => setAsked(undefined)}>Cancel</Button>
          <Button
            look={verb === 'Disable' ? 'stop' : 'primary'}
            busy={change.isPending}
            disabled={change.isPending}
            onClick={() => asked && change.mutate(asked)}
          >
            {verb}
          </Button>
        </div>
      </Dialog>
    </>
  )
}

function Invite({ onClose }: { onClose(): void }) {
  const { withStepUp } = useSession()
  const [email, setEmail] = useState('')
  const [role, setRole] = useState<Role>('support')
  const invite = useMutation({
    mutationFn: () => withStepUp(() => api.post<{ link: string }>('/v1/operators', { email: email.trim(), role })),
  })
  if (invite.data)
    return (
      <Dialog
        title="The invitation"
        lead="This link works once, within an hour. It is shown only now."
        open
        onClose={onClose}
      >
        <div className="copy-field">
          <input
            className="input mono"
            readOnly
            aria-label="Link"
            value={invite.data.link}
            onFocus={event => event.target.select()}
          />
          <Copy text={invite.data.link} label="Copy link" look="primary" />
        </div>
        <div className="bar end">
          <Button onClick={onClose}>Close</Button>
        </div>
      </Dialog>
    )
  return (
    <Dialog
      title="Invite an operator"
      lead="For people without an account at your identity provider. They sign in with a passkey."
      open
      onClose={onClose}
    >
      <form
        className="stack"
        onSubmit={event => {
          event.preventDefault()
          invite.mutate()
        }}
      >
        <Field label="E-mail">
          {control => (
            <input
              {...control}
              className="input"
              type="email"
              required
              value={email}
              onChange={event => setEmail(event.target.value)}
            />
          )}
        </Field>
        <Choices<Role>
          legend="Role"
          choices={(Object.keys(roleNames) as Role[]).map(value => ({ value, label: roleNames[value] }))}
          value={role}
          onChange={setRole}
        />
        <Wrong error={invite.error} />
        <div className="bar end">
          <Button onClick={onClose}>Cancel</Button>
          <Button
            look="primary"
            type="submit"
            busy={invite.isPending}
            disabled={email.trim() === '' || invite.isPending}
          >
            Create link
          </Button>
        </div>
      </form>
    </Dialog>
  )
}

/** Earlier versions of the policy, with the button that restores one. */
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ApiError, api } from '../api.ts'
import { Button, Field, Note } from '../parts/controls.tsx'
import { Dialog } from '../parts/popups.tsx'
import { Empty, Failed, Loading, Wrong } from '../parts/states.tsx'
import { Table } from '../parts/table.tsx'
import { Ago } from '../parts/time.tsx'
import { useSession } from '../session.tsx'
import type { Page, Policy } from '../wire.ts'
import { Differences } from './policy-save.tsx'

export function Versions({ current, onRestored }: { current: number; onRestored(policy: Policy): void }) {
  const { may } = useSession()
  const [opened, setOpened] = useState<Policy>()
  const { data, error, refetch } = useQuery({
    queryKey: ['policy-versions'],
    queryFn: ({ signal }) => api.get<Page<Policy>>('/v1/policy/versions', { limit: 50, paginated: true }, signal),
  })
  if (!data)
    return error ? (
      <Failed what="The versions could not be read." error={error} again={() => void refetch()} />
    ) : (
      <Loading rows={3} />
    )
  if (data.data.length === 0)
    return (
      <Empty icon="undo" title="Nobody has changed the policy yet.">
        <p className="dim">Each version that you save is kept here, and can be restored.</p>
      </Empty>
    )
  const inForce = data.data.find(({ version }) => version === current)
  return (
    <>
      <Table
        caption="Versions of the policy"
        rows={data.data}
        idOf={({ version }) => String(version)}
        onOpen={row => setOpened(row)}
        columns={[
          {
            head: 'Version',
            cell: ({ version }) => (
              <span className="strong">
                {version === 0 ? 'Default policy' : version}
                {version === current && <span className="dim"> in force</span>}
              </span>
            ),
          },
          { head: 'Reason', className: 'wide-cell', cell: ({ reason }) => reason ?? <span className="dim">–</span> },
          { head: 'Saved by', cell: ({ created_by }) => <span className="id">{created_by ?? '–'}</span> },
          {
            head: 'Saved',
            className: 'nowrap',
            cell: ({ created_at }) => created_at !== null && <Ago at={created_at} />,
          },
        ]}
      />
      {opened && (
        <Dialog title={`Version ${opened.version}`} wide open onClose={() => setOpened(undefined)}>
          <Differences before={inForce?.text ?? ''} after={opened.text} />
          {may('RollbackPolicy') && opened.version !== current && (
            <Restore
              version={opened.version}
              onRestored={policy => {
                setOpened(undefined)
                onRestored(policy)
              }}
            />
          )}
        </Dialog>
      )}
    </>
  )
}

function Restore({ version, onRestored }: { version: number; onRestored(policy: Policy): void }) {
  const { withStepUp } = useSession()
  const [reason, setReason] = useState('')
  const [ends, setEnds] = useState('')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const endsSessions = error instanceof ApiError && error.code === 'policy_ends_sessions'
  const restore = async () => {
    setBusy(true)
    setError(undefined)
    try {
      const body = {
        version,
        ...(ends === '' ? {} : { expect_refused: Number(ends) }),
        ...(reason.trim() === '' ? {} : { reason: reason.trim() }),
      }
      onRestored(await withStepUp(() => api.post<Policy>('/v1/policy/rollback', body)))
    } catch (failed) {
      setError(failed)
      setBusy(false)
    }
  }
  return (
    <form
      className="stack"
      onSubmit={event => {
        event.preventDefault()
        void restore()
      }}
    >
      <Field label="Reason">
        {control => (
          <input
            {...control}
            className="input"
            maxLength={500}
            value={reason}
            onChange={event => setReason(event.target.value)}
          />
        )}
      </Field>
      {(endsSessions || ends !== '') && (
        <>
          {endsSessions && (
            <Note tone="stop" icon="alert">
              {error.message}
            </Note>
          )}
          <Field label="Type the number of sessions that may end">
            {control => (
              <input
                {...control}
                className="input"
                inputMode="numeric"
                value={ends}
                onChange={event => setEnds(event.target.value.replaceAll(/\D/g, ''))}
              />
            )}
          </Field>
        </>
      )}
      {!endsSessions && <Wrong error={error} />}
      <div className="bar end">
        <Button look="primary" type="submit" busy={busy} disabled={busy}>
          Restore version {version}
        </Button>
      </div>
    </form>
  )
}

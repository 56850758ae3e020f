/** The operator’s own sessions in the console. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api } from '../api.ts'
import { Button, Tag } from '../parts/controls.tsx'
import { Empty, Failed, Loading, Title, Wrong } from '../parts/states.tsx'
import { Table } from '../parts/table.tsx'
import { Ago } from '../parts/time.tsx'
import { useSession } from '../session.tsx'
import type { OperatorSession, Page } from '../wire.ts'

/** Returns the browser and the system of a user agent, for people: “Chrome on Linux”. */
function deviceOf(userAgent: string | null): string {
  if (userAgent === null) return 'Unknown device'
  const browser = /Edg\//.test(userAgent) ? 'Edge' : (/(Firefox|Chrome|Safari)\//.exec(userAgent)?.[1] ?? 'A browser')
  const system = /(iPhone|iPad|Android|Windows|Mac OS X|CrOS|Linux)/.exec(userAgent)?.[1]
  return system ? `${browser} on ${system.replace('Mac OS X', 'macOS')}` : browser
}

export default function MySessions() {
  const { me } = useSession()
  const client = useQueryClient()
  const { data, error, refetch } = useQuery({
    queryKey: ['operator-sessions'],
    queryFn: ({ signal }) =>
      api.get<Page<OperatorSession>>(
        '/v1/operator_sessions',
        { operator_id: me.operator.id, limit: 100, paginated: true },
        signal,
      ),
  })
  const end = useMutation({
    mutationFn: (id: string) => api.post(`/v1/operator_sessions/${id}/end`),
    onSuccess: () => client.invalidateQueries({ queryKey: ['operator-sessions'] }),
  })
  const rows = data?.data.filter(({ ended_at }) => ended_at === null)
  return (
    <div className="stack">
      <Title title="My sessions" count="Where you are signed in to this console" />
      <Wrong error={end.error} />
      {!data &&
        (error ? (
          <Failed what="Your sessions could not be read." error={error} again={() => void refetch()} />
        ) : (
          <Loading rows={2} />
        ))}
      {rows?.length === 0 && <Empty icon="monitor" title="There are no sessions." />}
      {rows && rows.length > 0 && (
        <Table
          caption="My sessions"
          rows={rows}
          idOf={row => row.id}
          columns={[
            {
              head: 'Device',
              className: 'name-cell',
              cell: ({ user_agent, is_current }) => (
                <span className="bar tight strong">
                  {deviceOf(user_agent)}
                  {is_current && (
                    <Tag tone="ok" icon="check">
                      This one
                    </Tag>
                  )}
                </span>
              ),
            },
            { head: 'Address', cell: ({ address }) => address ?? '–' },
            { head: 'Signed in', className: 'nowrap', cell: ({ created_at }) => <Ago at={created_at} /> },
            { head: 'Last seen', className: 'nowrap', cell: ({ last_seen_at }) => <Ago at={last_seen_at} /> },
            {
              head: 'End',
              hideHead: true,
              className: 'actions',
              cell: ({ id, is_current }) =>
                !is_current && (
                  <Button look="stop-quiet" icon="stop" disabled={end.isPending} onClick={() => end.mutate(id)}>
                    End session
                  </Button>
                ),
            },
          ]}
        />
      )}
    </div>
  )
}

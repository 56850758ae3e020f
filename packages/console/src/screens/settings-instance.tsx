/** The settings of the server, where each value came from, and what the doctor found. */
import { useQuery } from '@tanstack/react-query'
import { api } from '../api.ts'
import { Facts, Id, Note, Tag } from '../parts/controls.tsx'
import { Empty, Failed, Loading } from '../parts/states.tsx'
import { Table } from '../parts/table.tsx'
import type { Instance } from '../wire.ts'

/** A finding of `stagedoor doctor`. */
interface Finding {
  check: string
  result: 'ok' | 'warn' | 'fail'
  detail: string
}

const LEVELS = {
  ok: ['ok', 'check'],
  warn: ['acting', 'alert'],
  fail: ['stop', 'refused'],
} as const

export function InstanceSettings() {
  const { data, error, refetch } = useQuery({
    queryKey: ['instance'],
    queryFn: ({ signal }) => api.get<Instance & { findings?: Finding[] }>('/v1/instance', {}, signal),
  })
  if (!data)
    return error ? (
      <Failed what="The settings could not be read." error={error} again={() => void refetch()} />
    ) : (
      <Loading />
    )
  return (
    <div className="stack sections">
      <section className="card padded">
        <Facts
          facts={[
            ['Instance', <Id key="id" id={data.id} />],
            ['Version', data.version],
            ['Environment', data.environment],
            ['Public URL', <code key="url">{data.public_url}</code>],
            ['Licence', 'MIT'],
          ]}
        />
      </section>
      {data.findings && (
        <section className="stack-tight">
          <h2>What the doctor found</h2>
          {data.findings.map(({ check, result, detail }) => (
            <Note key={`${check} ${detail}`} tone={LEVELS[result][0]} icon={LEVELS[result][1]}>
              <span className="strong">{check}</span> {detail}
            </Note>
          ))}
        </section>
      )}
      <section className="stack-tight">
        <h2>Settings</h2>
        <p className="dim">Those that are not at their defaults. They change with the environment of the process.</p>
        {data.settings.length === 0 ? (
          <Empty icon="settings" title="All settings are at their defaults." />
        ) : (
          <Table
            caption="Settings"
            rows={data.settings}
            idOf={({ name }) => name}
            columns={[
              { head: 'Name', cell: ({ name }) => <code>{name}</code> },
              {
                head: 'Value',
                className: 'wide-cell',
                cell: ({ value }) =>
                  value === null ? <span className="dim">Secret</span> : <code className="wrap">{value}</code>,
              },
              { head: 'From', cell: ({ source }) => <Tag>{source === 'dev' ? 'stagedoor dev' : source}</Tag> },
            ]}
          />
        )}
      </section>
    </div>
  )
}

/** Who did what, and which rule allowed it. The filters are in the URL, so a link shows the same events. */
import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useRef, useState } from 'react'
import { api, pathOf } from '../api.ts'
import { absolute, actorDetail, actorName, isAgent, userName } from '../format.ts'
import { Button, Facts, Field, Id, Tag, Who } from '../parts/controls.tsx'
import { Icon } from '../parts/icon.tsx'
import { Drawer, Popover, useClosePopover } from '../parts/popups.tsx'
import { Reveal, useRevealed } from '../parts/reveal.tsx'
import { eventSentence } from '../parts/sentence.tsx'
import { Empty, Failed, Forbidden, Loading, Stale, Title } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { Ago } from '../parts/time.tsx'
import type { Search } from '../router.tsx'
import { useSession } from '../session.tsx'
import { actionNames, reveal as text } from '../text/en.ts'
import type { AuditEvent, Page, User } from '../wire.ts'

const PAGE = 200

/** Filters by their names in the URL, which are those of the API but for `since`. */
const FILTERS = {
  since: 'Time',
  outcome: 'Outcome',
  action: 'Action',
  actor_sub: 'Actor',
  user_id: 'User',
  session_id: 'Session',
  actor_token_id: 'Actor token',
  principal_type: 'Caller',
  code: 'Error code',
  text: 'Text',
} as const
type Filter = keyof typeof FILTERS

const SINCE: Record<string, [label: string, ms: number]> = {
  '1h': ['Last hour', 3_600_000],
  '24h': ['Last 24 hours', 86_400_000],
  '7d': ['Last 7 days', 604_800_000],
  '30d': ['Last 30 days', 2_592_000_000],
}

/** Choices of filters that have few values. */
const CHOICES: Partial<Record<Filter, readonly (readonly [value: string, label: string])[]>> = {
  since: Object.entries(SINCE).map(([value, [label]]) => [value, label] as const),
  outcome: [
    ['done', 'Done'],
    ['refused', 'Refused'],
  ],
  principal_type: [
    ['operator', 'Operator'],
    ['secret_key', 'Secret key'],
    ['client', 'Browser'],
    ['command_line', 'Command line'],
    ['system', 'The server'],
  ],
  action: actionNames.map(name => [name, name] as const),
}

export default function Audit() {
  const { may } = useSession()
  if (!may('GetAuditEventList')) return <Forbidden title="Audit" roles={['viewer', 'support', 'approver', 'admin']} />
  return <Events />
}

function useFilters() {
  const search = useSearch({ strict: false }) as Search
  const navigate = useNavigate()
  const names = (Object.keys(FILTERS) as Filter[]).filter(name => search[name])
  const set = (part: Search) =>
    void navigate({ to: '.', search: ((before: Search) => ({ ...before, ...part })) as never, replace: true })
  const { since, ...rest } = Object.fromEntries(names.map(name => [name, search[name]])) as Partial<
    Record<Filter, string>
  >
  // Whole minutes, so that the list is not a new one with each paint.
  const after = since && SINCE[since] ? Math.floor(Date.now() / 60_000) * 60_000 - SINCE[since][1] : undefined
  return { names, values: search, set, query: { ...rest, after } }
}

function useEvents(query: Record<string, string | number | undefined>) {
  return useInfiniteQuery({
    queryKey: ['events', query],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ signal, pageParam }) =>
      api.get<Page<AuditEvent>>(
        '/v1/audit_events',
        { ...query, limit: PAGE, paginated: true, total_count: false, starting_after: pageParam },
        signal,
      ),
    getNextPageParam: page => page.next_cursor,
    placeholderData: keepPreviousData,
  })
}

function Events() {
  const filters = useFilters()
  const { data, error, refetch, fetchNextPage, hasNextPage, isFetching } = useEvents(filters.query)
  const [opened, setOpened] = useState<AuditEvent>()
  const rows = data?.pages.flatMap(page => page.data)
  const names = useNames(rows ?? [])
  return (
    <div className="stack">
      <Title title="Audit" count="Who did what, newest first">
        {/* The place of the badge that says up to where the log is proved. */}
        <span id="proof" />
        <Export query={filters.query} />
      </Title>
      <FilterBar {...filters} />
      {rows && error && (
        <Stale again={() => void refetch()}>The log could not be read again. These rows may be old.</Stale>
      )}
      {!rows &&
        (error ? (
          <Failed what="The audit log could not be read." error={error} again={() => void refetch()} />
        ) : (
          <Loading what="Loading the audit log" />
        ))}
      {rows?.length === 0 && !isFetching && <NoEvents {...filters} />}
      {rows && rows.length > 0 && (
        <EventTable
          rows={rows}
          names={names}
          onOpen={setOpened}
          onEnd={() => {
            if (hasNextPage && !isFetching) void fetchNextPage()
          }}
        />
      )}
      <Drawer
        title={opened ? `Event #${opened.seq}` : 'Event'}
        open={opened !== undefined}
        onClose={() => setOpened(undefined)}
      >
        {opened && <Details key={opened.id} listed={opened} names={names} />}
      </Drawer>
    </div>
  )
}

/** Returns the names of the users in these events. Deleted users have none. */
function useNames(rows: readonly AuditEvent[]): ReadonlyMap<string, string> {
  const { may } = useSession()
  const ids = [...new Set(rows.map(row => row.user_id).filter(id => id !== null))].slice(0, 100).sort()
  const { data } = useQuery({
    queryKey: ['names', ids],
    enabled: ids.length > 0 && may('GetUserList'),
    staleTime: 600_000,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const query = ids.map(id => `user_id=${encodeURIComponent(id)}`).join('&')
      const page = await api.get<Page<User>>(
        `/v1/users?limit=100&paginated=true&total_count=false&${query}`,
        undefined,
        signal,
      )
      return new Map(page.data.map(user => [user.id, userName(user)]))
    },
  })
  return data ?? new Map()
}

interface FilterProps {
  names: Filter[]
  values: Search
  set(part: Search): void
}

function shownValue(name: Filter, value: string): string {
  return CHOICES[name]?.find(([choice]) => choice === value)?.[1] ?? value
}

function FilterBar({ names, values, set }: FilterProps) {
  return (
    <div className="bar">
      <Popover className="popover" label="Add a filter" trigger={<Button icon="filter">Filter</Button>}>
        <FilterForm set={set} />
      </Popover>
      {names.map(name => (
        <span key={name} className="filter-chip">
          <span className="dim">{FILTERS[name]}</span>
          <span className="filter-value">{shownValue(name, values[name] ?? '')}</span>
          <button
            type="button"
            aria-label={`Remove the filter ${FILTERS[name]}`}
            onClick={() => set({ [name]: undefined })}
          >
            <Icon name="cross" size={14} />
          </button>
        </span>
      ))}
      {names.length > 1 && (
        <Button look="quiet" onClick={() => set(Object.fromEntries(names.map(name => [name, undefined])))}>
          Clear all
        </Button>
      )}
    </div>
  )
}

function FilterForm({ set }: Pick<FilterProps, 'set'>) {
  const close = useClosePopover()
  const [name, setName] = useState<Filter>('since')
  const [value, setValue] = useState('')
  const choices = CHOICES[name]
  const chosen = value === '' ? (choices?.[0]?.[0] ?? '') : value
  return (
    <form
      className="stack-tight"
      onSubmit={event => {
        event.preventDefault()
        if (chosen.trim() === '') return
        set({ [name]: chosen.trim() })
        close()
      }}
    >
      <Field label="What">
        {control => (
          <select
            {...control}
            className="input"
            value={name}
            onChange={event => {
              setName(event.target.value as Filter)
              setValue('')
            }}
          >
            {Object.entries(FILTERS).map(([filter, label]) => (
              <option key={filter} value={filter}>
                {label}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label="Is">
        {control =>
          choices ? (
            <select {...control} className="input" value={chosen} onChange={event => setValue(event.target.value)}>
              {choices.map(([choice, label]) => (
                <option key={choice} value={choice}>
                  {label}
                </option>
              ))}
            </select>
          ) : (
            <input {...control} className="input" value={value} onChange={event => setValue(event.target.value)} />
          )
        }
      </Field>
      <Button look="primary" type="submit">
        Add filter
      </Button>
    </form>
  )
}

function Export({ query }: { query: Record<string, string | number | undefined> }) {
  const { may } = useSession()
  if (!may('ExportAuditEvents')) return null
  return (
    <Popover className="menu" label="Export" trigger={<Button icon="download">Export</Button>}>
      {(['jsonl', 'csv'] as const).map(format => (
        <a
          key={format}
          className="menu-item"
          href={`/console/api${pathOf('/v1/audit_events/export', { ...query, format })}`}
          download={`audit.${format}`}
        >
          <Icon name="download" />
          {format === 'csv' ? 'CSV, for a spreadsheet' : 'JSON Lines, for programs'}
        </a>
      ))}
    </Popover>
  )
}

function NoEvents({ names, values, set }: FilterProps) {
  const [first] = names
  if (!first) return <Empty icon="audit" title="Nothing has happened yet." />
  return (
    <Empty icon="filter" title="No event matches.">
      <p className="dim">
        {names.length === 1 ? 'The filter' : 'These filters together'} excluded everything:{' '}
        {names.map(name => `${FILTERS[name]} ${shownValue(name, values[name] ?? '')}`).join(', ')}.
      </p>
      <Button onClick={() => set(Object.fromEntries(names.map(name => [name, undefined])))}>
        {names.length === 1 ? 'Clear it' : 'Clear them'}
      </Button>
    </Empty>
  )
}

interface EventTableProps {
  rows: AuditEvent[]
  names: ReadonlyMap<string, string>
  onOpen(event: AuditEvent): void
  onEnd(): void
}

/** Only the rows in sight are in the page: the log can be long. */
function EventTable({ rows, names, onOpen, onEnd }: EventTableProps) {
  const list = useRef<HTMLDivElement>(null)
  const [margin, setMargin] = useState(0)
  useEffect(() => setMargin(list.current?.offsetTop ?? 0), [])
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => 48,
    overscan: 12,
    scrollMargin: margin,
  })
  const items = virtual.getVirtualItems()
  const [first, last] = [items[0], items.at(-1)]
  const end = last !== undefined && last.index >= rows.length - 30
  useEffect(() => {
    if (end) onEnd()
  })
  const byId = new Map(rows.map((row, index) => [row.id, index]))
  return (
    <div ref={list}>
      <Table
        caption="Audit events"
        columns={columnsOf(names)}
        rows={items.flatMap(({ index }) => rows[index] ?? [])}
        idOf={row => row.id}
        onOpen={onOpen}
        measure={virtual.measureElement}
        indexOf={row => byId.get(row.id) ?? 0}
        padding={{
          before: first ? first.start - margin : 0,
          after: last ? Math.max(0, virtual.getTotalSize() - (last.end - margin)) : 0,
        }}
      />
    </div>
  )
}

const columnsOf = (names: ReadonlyMap<string, string>): Column<AuditEvent>[] => [
  { head: 'What', className: 'what-cell', cell: event => <span>{eventSentence(event, names)}</span> },
  {
    head: 'Reason',
    className: 'wide-cell',
    cell: event => event.reason && <span className="reason-text">{event.reason}</span>,
  },
  { head: 'Outcome', cell: event => <Outcome event={event} /> },
  { head: 'Time', className: 'nowrap', cell: event => <Ago at={event.at} /> },
  { head: 'Number', className: 'number dim', cell: event => event.seq.toLocaleString('en') },
]

function Outcome({ event }: { event: AuditEvent }) {
  if (event.outcome === 'done')
    return (
      <Tag tone="ok" icon="check">
        Done
      </Tag>
    )
  return (
    <span title={event.code ?? undefined}>
      <Tag tone="stop" icon="refused">
        Refused
      </Tag>
    </span>
  )
}

const PRINCIPALS: Record<string, string> = {
  secret_key: 'A secret key',
  client: 'A browser',
  command_line: 'The command line',
  system: 'The server',
  operator: 'An operator',
}

function Details({ listed, names }: { listed: AuditEvent; names: ReadonlyMap<string, string> }) {
  const revealed = useRevealed(`/v1/audit_events/${listed.id}`, listed)
  const event = revealed.shown
  const { principal, actor, details } = event
  const rules = Array.isArray(details?.['determined_by']) ? details['determined_by'] : []
  const version = details?.['policy_version']
  return (
    <>
      <p className="lead">{eventSentence(event, names)}</p>
      {(revealed.isMasked || revealed.wasAsked) && (
        <div className="bar">
          {revealed.isMasked && <span className="dim">{text.masked}</span>}
          <Reveal of={revealed} label={text.event} />
        </div>
      )}
      <Facts
        facts={[
          ['Outcome', <Outcome key="outcome" event={event} />],
          event.code !== null && ['Error code', <code key="code">{event.code}</code>],
          ['Time', absolute(event.at)],
          event.reason !== null && ['Reason', event.reason],
          actor !== null && [
            'Actor',
            <Who key="actor" name={actorName(actor)} detail={actorDetail(actor)} agent={isAgent(actor)} />,
          ],
          event.user_id !== null && ['User', <Id key="user" id={event.user_id} />],
          event.session_id !== null && ['Session', <Id key="session" id={event.session_id} />],
          event.actor_token_id !== null && ['Actor token', <Id key="token" id={event.actor_token_id} />],
          event.target_id !== null && ['Object', <Id key="target" id={event.target_id} />],
          ['Caller', `${PRINCIPALS[principal.type] ?? principal.type}${principal.id ? ` ${principal.id}` : ''}`],
          event.address !== null && ['Address', event.address],
          version !== undefined && ['Policy version', String(version)],
          rules.length > 0 && [
            'Decided by',
            <code key="rules">
              {rules.map(rule => (typeof rule === 'string' ? rule : String((rule as { id?: unknown }).id))).join(', ')}
            </code>,
          ],
          [
            'Leaf hash',
            <span key="hash" className="id">
              {event.leaf_hash}
            </span>,
          ],
        ]}
      />
      <details>
        <summary>The whole event</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable with the keyboard */}
        <pre tabIndex={0}>{JSON.stringify(event, null, 2)}</pre>
      </details>
    </>
  )
}

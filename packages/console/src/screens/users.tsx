/** The users that the server knows, with the button to act as one. */
import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import { api } from '../api.ts'
import { isProtected, userDetail, userName } from '../format.ts'
import { useLater } from '../parts/combo.tsx'
import { Button, buttonClass, Choices, Tag, Who } from '../parts/controls.tsx'
import { Icon } from '../parts/icon.tsx'
import { Empty, Failed, Forbidden, Loading, Stale, Title } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { Ago } from '../parts/time.tsx'
import type { Search } from '../router.tsx'
import { useSession } from '../session.tsx'
import { count } from '../text/en.ts'
import type { Page, User } from '../wire.ts'

const SHOWN = 50

/** The filters, and what the API calls them. */
const STATES = [
  { value: 'all', label: 'All' },
  { value: 'banned', label: 'Banned' },
  { value: 'locked', label: 'Locked' },
  { value: 'protected', label: 'Protected' },
] as const

export default function Users() {
  const { may } = useSession()
  if (!may('GetUserList')) return <Forbidden title="Users" roles={['viewer', 'support', 'approver', 'admin']} />
  return <UserList />
}

function UserList() {
  const search = useSearch({ strict: false }) as Search
  const navigate = useNavigate()
  const [text, setText] = useState(search['query'] ?? '')
  const later = useLater(text.trim())
  const state = search['state'] ?? 'all'
  const set = (part: Search) =>
    void navigate({ to: '.', search: ((before: Search) => ({ ...before, ...part })) as never, replace: true })
  useEffect(() => {
    if (later !== (search['query'] ?? '')) set({ query: later || undefined })
  })
  const query = { query: search['query'], ...(state === 'all' ? {} : { [state]: true }) }
  const { data, error, refetch, fetchNextPage, hasNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: ['users', query],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ signal, pageParam }) =>
      api.get<Page<User>>('/v1/users', { ...query, limit: SHOWN, paginated: true, starting_after: pageParam }, signal),
    getNextPageParam: page => page.next_cursor,
    placeholderData: keepPreviousData,
  })
  const rows = data?.pages.flatMap(page => page.data)
  const [first] = data?.pages ?? []
  const filtered = Boolean(search['query']) || state !== 'all'
  return (
    <div className="stack">
      <Title title="Users" count={first?.total_count !== undefined && count(first.total_count, 'user')} />
      <div className="filters">
        <div className="combo filter-text">
          <Icon name="search" />
          <input
            className="input"
            type="text"
            aria-label="Find users"
            placeholder="Name, e-mail or ID"
            value={text}
            onChange={event => setText(event.target.value)}
          />
        </div>
        <Choices
          legend="State"
          hideLegend
          choices={STATES}
          value={state as 'all'}
          onChange={value => set({ state: value === 'all' ? undefined : value })}
        />
      </div>
      {rows && error && (
        <Stale again={() => void refetch()}>The list could not be read again. These rows may be old.</Stale>
      )}
      {!rows &&
        (error ? (
          <Failed what="The users could not be read." error={error} again={() => void refetch()} />
        ) : (
          <Loading what="Loading users" />
        ))}
      {rows?.length === 0 &&
        (filtered ? (
          <Empty icon="users" title="No user matches.">
            <Button
              onClick={() => {
                setText('')
                set({ query: undefined, state: undefined })
              }}
            >
              Clear the filters
            </Button>
          </Empty>
        ) : (
          <NoUsers />
        ))}
      {rows && rows.length > 0 && <Rows rows={rows} />}
      {hasNextPage && (
        <div className="bar center">
          <Button busy={isFetchingNextPage} disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
            Show more
          </Button>
        </div>
      )}
    </div>
  )
}

function NoUsers() {
  return (
    <Empty icon="users" title="There are no users yet.">
      <p className="dim">
        Your backend creates them with <code>users.findOrCreate</code> when it first needs one. To bring all of them at
        once, run this next to the server:
      </p>
      <pre>stagedoor users import users.csv</pre>
    </Empty>
  )
}

function Rows({ rows }: { rows: User[] }) {
  const navigate = useNavigate()
  const { may } = useSession()
  const columns: Column<User>[] = [
    { head: 'Name', className: 'name-cell', cell: user => <Who name={userName(user)} detail={userDetail(user)} /> },
    { head: 'State', cell: user => <States user={user} /> },
    { head: 'External ID', cell: user => user.external_id && <span className="id">{user.external_id}</span> },
    { head: 'Created', className: 'nowrap', cell: user => <Ago at={user.created_at} /> },
    ...(may('CreateActorToken')
      ? [{ head: 'Act', hideHead: true, className: 'actions', cell: (user: User) => <ActAs user={user} /> }]
      : []),
  ]
  return (
    <Table
      caption="Users"
      columns={columns}
      rows={rows}
      idOf={user => user.id}
      onOpen={user => void navigate({ to: '/users/$id' as never, params: { id: user.id } as never })}
    />
  )
}

export function States({ user }: { user: User }) {
  return (
    <span className="bar tight">
      {user.banned && (
        <Tag tone="stop" icon="ban">
          Banned
        </Tag>
      )}
      {user.locked && (
        <Tag tone="stop" icon="lock">
          Locked
        </Tag>
      )}
      {isProtected(user) && (
        <Tag tone="accent" icon="shield">
          Protected
        </Tag>
      )}
    </span>
  )
}

function ActAs({ user }: { user: User }) {
  if (user.banned || user.locked) return null
  return (
    <Link
      to={'/act' as never}
      search={{ user: user.id } as never}
      className={buttonClass()}
      aria-label={`Act as ${userName(user)}`}
    >
      Act as
    </Link>
  )
}

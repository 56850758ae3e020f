/** Who acts as whom, why, how far and for how long; and the buttons that end it. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useState } from 'react'
import { api } from '../api.ts'
import { absolute, actingDetail, actingName, actorDetail, actorName, chainOf, clock, isAgent } from '../format.ts'
import { type LiveSession, useActing, useStats } from '../live.ts'
import { Button, buttonClass, Check, Facts, Id, Tag, Ticket, Who } from '../parts/controls.tsx'
import { EndSession, endClicks } from '../parts/end.tsx'
import { Icon } from '../parts/icon.tsx'
import { Drawer } from '../parts/popups.tsx'
import { eventSentence } from '../parts/sentence.tsx'
import { Sparkline } from '../parts/sparkline.tsx'
import { Empty, Failed, Loading, Stale, Title } from '../parts/states.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { TimeLeft } from '../parts/time.tsx'
import { useSession } from '../session.tsx'
import { access, categoryName, count, endedAfter } from '../text/en.ts'
import type { AuditEvent, Page } from '../wire.ts'

const KillSwitch = lazy(() => import('./kill-switch.tsx'))

export function Live() {
  const { data: rows, error, stream, refetch } = useActing()
  const { may } = useSession()
  const [opened, setOpened] = useState<string>()
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const [grouped, setGrouped] = useState(false)
  const [killing, setKilling] = useState(false)
  const active = rows?.filter(row => !row.ended)
  const shown = rows?.find(({ id }) => id === opened)
  const chosen = active?.filter(({ id }) => selected.has(id)) ?? []
  const toggle = ({ id }: LiveSession) =>
    setSelected(before => new Set(before.has(id) ? [...before].filter(each => each !== id) : [...before, id]))
  return (
    <div className="stack">
      <Title title="Live" count={active && <Headline number={active.length} />}>
        <Curve />
        {may('RevokeAllSessions') && (
          <Button look="stop-quiet" icon="power" onClick={() => setKilling(true)}>
            End all…
          </Button>
        )}
        {killing && (
          <Suspense>
            <KillSwitch onClose={() => setKilling(false)} rows={active ?? []} />
          </Suspense>
        )}
      </Title>
      {rows && error && (
        <Stale again={() => void refetch()}>The list could not be read again. These rows may be old.</Stale>
      )}
      {rows && !error && !stream.live && stream.since !== undefined && (
        <Stale>Not live since {clock(stream.since)}, reconnecting.</Stale>
      )}
      {rows && rows.length > 0 && (
        <div className="spread tools">
          {chosen.length > 0 ? (
            <EndSession sessions={chosen} onDone={() => setSelected(new Set())} />
          ) : (
            <p className="meta">Ending a session takes effect at once: no further token is issued for it.</p>
          )}
          <Check label="Group by actor" checked={grouped} onChange={() => setGrouped(!grouped)} />
        </div>
      )}
      {!rows &&
        (error ? (
          <Failed what="The acting sessions could not be read." error={error} again={() => void refetch()} />
        ) : (
          <Loading what="Loading the acting sessions" />
        ))}
      {rows && rows.length === 0 && <Nobody />}
      {rows && rows.length > 0 && (
        <Sessions
          rows={rows}
          grouped={grouped}
          selected={selected}
          onSelect={toggle}
          onOpen={row => setOpened(row.id)}
        />
      )}
      <Drawer
        title={shown ? `${actorName(shown.actor)} as ${actingName(shown)}` : 'Session'}
        open={shown !== undefined}
        onClose={() => setOpened(undefined)}
      >
        {shown && <Details session={shown} />}
      </Drawer>
    </div>
  )
}

function Headline({ number }: { number: number }) {
  return (
    <span aria-live="polite">{number === 0 ? 'No acting sessions now' : `${count(number, 'acting session')} now`}</span>
  )
}

function Curve() {
  const { data } = useStats()
  if (!data) return null
  return <Sparkline values={data.minutes.map(({ acting }) => acting)} label="Acting sessions in the last hour" />
}

const columns = (mayEnd: (row: LiveSession) => boolean): Column<LiveSession>[] => [
  {
    head: 'Actor',
    className: 'who-cell',
    cell: row => <Who name={actorName(row.actor)} detail={actorDetail(row.actor)} agent={row.kind === 'agent'} />,
  },
  { head: 'User', className: 'who-cell', cell: row => <Who name={actingName(row)} detail={actingDetail(row)} /> },
  { head: 'Reason', className: 'wide-cell', cell: row => <Reason session={row} /> },
  { head: 'Access', cell: row => <AccessTag session={row} /> },
  {
    head: 'Time left',
    className: 'number',
    cell: row => (row.ended ? <span className="dim">–</span> : <TimeLeft until={row.expire_at} />),
  },
  {
    head: 'End session',
    hideHead: true,
    className: 'actions',
    cell: row => (row.ended ? <Ended session={row} /> : mayEnd(row) && <EndSession sessions={[row]} />),
  },
]

interface SessionsProps {
  rows: LiveSession[]
  grouped: boolean
  selected: ReadonlySet<string>
  onSelect(row: LiveSession): void
  onOpen(row: LiveSession): void
}

function Sessions({ rows, grouped, selected, onSelect, onOpen }: SessionsProps) {
  const { mayEnd, may } = useSession()
  const table = (some: LiveSession[], caption: string) => (
    <Table
      caption={caption}
      columns={columns(mayEnd)}
      rows={some}
      idOf={row => row.id}
      onOpen={onOpen}
      classOf={row => (row.ended ? 'gone' : undefined)}
      {...(may('RevokeSession') && some.some(row => mayEnd(row)) ? { selected, onSelect } : {})}
    />
  )
  if (!grouped) return table(rows, 'Acting sessions')
  return [...Map.groupBy(rows, row => row.actor_sub)].map(([sub, some]) => {
    const [first] = some
    return (
      <section key={sub} className="stack-tight">
        <h2 className="group">
          {first && actorName(first.actor)} <span className="dim">{count(some.length, 'session')}</span>
        </h2>
        {table(some, `Acting sessions of ${sub}`)}
      </section>
    )
  })
}

export function Reason({ session }: { session: Pick<LiveSession, 'reason' | 'reason_category' | 'ticket'> }) {
  const { reason, reason_category, ticket } = session
  if (reason === null && ticket === null && reason_category === null)
    return <span className="dim">No reason given</span>
  return (
    <span className="reason">
      <span className="reason-text" title={reason ?? undefined}>
        {reason ?? (reason_category && categoryName(reason_category))}
      </span>
      {ticket && <Ticket ticket={ticket} />}
    </span>
  )
}

export function AccessTag({ session }: { session: Pick<LiveSession, 'access' | 'scopes'> }) {
  return (
    <span className="bar tight">
      <Tag tone={session.access === 'write' ? 'acting' : 'dim'} icon={session.access === 'write' ? 'pencil' : 'eye'}>
        {access[session.access]}
      </Tag>
      {session.scopes && (
        <Tag icon="scopes">
          <span title={session.scopes.join(', ')}>{count(session.scopes.length, 'scope')}</span>
        </Tag>
      )}
    </span>
  )
}

/** How a session ended: how soon after the click, if this page ended it. */
function Ended({ session }: { session: LiveSession }) {
  const clicked = endClicks.get(session.id)
  const { at = 0, seen = 0, followers } = session.ended ?? {}
  return (
    <span className="ended" role="status">
      <Icon name="check" />
      {clicked === undefined ? `Ended at ${clock(at)}` : endedAfter((seen - clicked) / 1_000, followers)}
    </span>
  )
}

function Details({ session }: { session: LiveSession }) {
  const chain = chainOf(session.actor)
  const { mayEnd } = useSession()
  const events = useQuery({
    queryKey: ['events', 'of-session', session.id],
    queryFn: ({ signal }) =>
      api.get<Page<AuditEvent>>('/v1/audit_events', { session_id: session.id, limit: 20, paginated: true }, signal),
  })
  return (
    <>
      <Facts
        facts={[
          ['User', <Who key="user" name={actingName(session)} detail={actingDetail(session)} />],
          ['Reason', <Reason key="reason" session={session} />],
          session.reason_category !== null && ['Kind of reason', categoryName(session.reason_category)],
          ['Access', <AccessTag key="access" session={session} />],
          session.scopes !== null && ['Scopes', session.scopes.join(', ')],
          ['Began', absolute(session.began_at)],
          [
            'Ends',
            session.ended ? (
              `Ended at ${clock(session.ended.at)}`
            ) : (
              <TimeLeft key="left" until={session.expire_at} suffix=" left" />
            ),
          ],
          ['Session', <Id key="id" id={session.session_id} />],
          session.actor_token_id !== null && ['Began with', <Id key="token" id={session.actor_token_id} />],
        ]}
      />
      <section className="stack-tight">
        <h3>Who is really acting</h3>
        <ol className="chain">
          {chain.toReversed().map((actor, depth) => (
            // The depth is what orders the chain.
            <li key={actor.sub} style={{ marginInlineStart: depth * 16 }}>
              <Who name={actorName(actor)} detail={actorDetail(actor)} agent={isAgent(actor)} />
            </li>
          ))}
        </ol>
        <details>
          <summary>The actor payload</summary>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable with the keyboard */}
          <pre tabIndex={0}>{JSON.stringify(session.actor, null, 2)}</pre>
        </details>
      </section>
      <section className="stack-tight">
        <div className="spread">
          <h3>Events</h3>
          <Link to="/audit" search={{ session_id: session.session_id } as never}>
            Show in the audit log
          </Link>
        </div>
        <ul className="events">
          {events.data?.data.map(event => (
            <li key={event.id}>
              <span className="meta">{clock(event.at)}</span>
              <span>{eventSentence(event, new Map([[session.user_id, actingName(session)]]))}</span>
            </li>
          ))}
        </ul>
      </section>
      <div className="bar">
        {!session.ended && mayEnd(session) && <EndSession sessions={[session]} />}
        <Link className={buttonClass()} to="/users/$id" params={{ id: session.user_id }}>
          Show the user
        </Link>
      </div>
    </>
  )
}

function Nobody() {
  const { may } = useSession()
  return (
    <>
      <Empty icon="live" title="Nobody is acting as a user.">
        <p className="dim">Each acting session appears here at once: who acts as whom, why, and for how long.</p>
        {may('CreateActorToken') && (
          <Link to="/act" className={buttonClass('primary')}>
            Act as a user
          </Link>
        )}
      </Empty>
      <SampleRow />
    </>
  )
}

/** A row as it would look, for people who see the page for the first time. */
function SampleRow() {
  const [until] = useState(() => Date.now() + 754_000)
  const [sample, setSample] = useState<LiveSession>()
  useEffect(() => {
    setSample({
      object: 'acting',
      id: 'sample',
      session_id: 'sample',
      user_id: 'sample',
      user: { id: 'sample', name: 'Carl Customer', email: 'carl@customer.example' },
      actor: { sub: 'olivia@support.example', name: 'Olivia Operator' },
      actor_sub: 'olivia@support.example',
      kind: 'operator',
      reason: 'Cannot download the invoice of May',
      reason_category: null,
      ticket: 'T-1234',
      access: 'read',
      scopes: null,
      began_at: until - 900_000,
      expire_at: until,
      actor_token_id: null,
    })
  }, [until])
  if (!sample) return null
  return (
    <section className="sample" aria-label="An example of a row">
      <p className="meta">An example</p>
      <Table caption="An example of a row" columns={columns(() => false)} rows={[sample]} idOf={row => row.id} />
    </section>
  )
}
